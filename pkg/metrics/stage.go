package metrics

import (
	"fmt"
	"math"
)

// biased tells that identical halves differ grossly, so that the comparison is not to be trusted: errors or latency, in
// either direction (JUDGE.md section 5).
func (l look) biased() (Verdict, string, bool) {
	const text = "identical halves differ, the comparison is not to be trusted: "
	for _, e := range []*evidence{&l.s.Errors, l.s.Back} {
		if e != nil && e.value() >= l.c.StageScore && e.guarded(l.s.K) {
			return Inconclusive, text + l.comparison(), true
		}
	}
	for _, back := range []bool{false, true} {
		score, without := l.latency(back)
		if score >= l.c.StageScore && enough(without, l.s.K) {
			return Inconclusive, text + l.slowest(back), true
		}
	}
	return Wait, "", false
}

// latency is the mean score over the bounds, and the mean of what is left without the most telling pods.
func (l look) latency(back bool) (score, without float64) {
	n := 0.0
	for _, b := range l.s.Latency {
		e := &b.Score
		if back {
			e = b.Back
		}
		if e == nil {
			continue
		}
		score, without, n = score+e.value(), without+e.without(l.s.K), n+1
	}
	if n == 0 {
		return 1, math.Inf(1)
	}
	return score / n, without / n
}

// stage ends when both halves have counted enough. A share that is off is a finding, and stops only where it is far off.
func (l look) stage() (Verdict, string) {
	if verdict, reason, ok := l.waits(New, Old); ok {
		return verdict, reason
	}
	text := fmt.Sprintf("share %s of %s requests", percent(l.share()), number(l.fresh.New.Requests+l.fresh.Old.Requests)) + l.untimed()
	off, far := l.shareOff()
	switch {
	case far:
		return Inconclusive, text + ", " + percent(l.step.Share) + " was asked for: " + off + l.furthest()
	case off != "":
		return Pass, "identical halves agree: " + l.comparison() + "; " + text + ": " + off + l.furthest()
	default:
		return Pass, "identical halves agree: " + l.comparison() + "; " + text
	}
}

// untimed says that latency will not be compared: its bounds are chosen from the tail of the old policy, and a tail of few
// requests is none.
func (l look) untimed() string {
	timed := l.s.Own.Timed
	if l.c.LatencyTolerance <= 0 || l.s.timedBefore() || timed <= 0 || timed >= tailRequests {
		return ""
	}
	return fmt.Sprintf("; only %s of %s timed requests, so latency will not be compared", number(timed), number(tailRequests))
}

// shareOff says what the share seen at step 0 means where it is significantly off, and whether that is too far.
func (l look) shareOff() (text string, far bool) {
	if l.step.Kind != StepStage || l.step.ByInstance || l.step.Share <= 0 {
		return "", false
	}
	mean, significant := l.s.Shares.off()
	if !significant || math.Abs(mean) <= l.c.ShareTolerance*l.step.Share {
		return "", false
	}
	real := (l.step.Share + mean) / l.step.Share
	far = real > l.c.ShareMost || real < l.c.ShareLeast
	if real > 1 {
		return fmt.Sprintf("%.0f %% more requests than asked for are on the new side", (real-1)*100), far
	}
	return fmt.Sprintf("%.0f %% of ids unusable, they stay old", (1-real)*100), far
}
