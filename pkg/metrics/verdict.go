package metrics

import (
	"fmt"
	"math"
	"time"
)

// look is everything a verdict rests on: the score, the step, and the time.
type look struct {
	c       JudgeConfig
	s       score
	step    JudgeStep
	fresh   State
	tick    Tick
	now     time.Time
	elapsed time.Duration
}

// judge decides. Harm that is proved comes first: it stands even when data end. Then what forbids any verdict, then the
// step's own rule.
func (l look) judge() Judgement {
	verdict, reason := l.decide()
	out := Judgement{Verdict: verdict, Reason: reason, New: l.fresh.New, Old: l.fresh.Old, Elapsed: l.elapsed.Seconds(),
		Share: l.share(), Score: round3(l.total())}
	if b := l.s.Bound.shown(l.c.PassConfidence); !math.IsInf(b, 1) {
		out.Bound = b
	}
	return out
}

func (l look) decide() (Verdict, string) {
	if l.step.Kind == StepStage {
		if verdict, reason, ok := l.biased(); ok {
			return verdict, reason
		}
	} else if l.harmful() {
		return Fail, l.comparison()
	}
	if verdict, reason, ok := l.noSource(); ok {
		return verdict, reason
	}
	switch l.step.Kind {
	case StepStage:
		return l.stage()
	case StepProof:
		return l.proof()
	case StepBake, StepFold:
		return l.lastSteps()
	default:
		return l.watch()
	}
}

// errorScore is the smaller half: a Fail must refute both "not worse than the old side" and "below the floor".
func (l look) errorScore() float64 { return min(l.s.Errors.value(), l.s.Floor.value()) }

func (l look) latencyScore() float64 {
	if len(l.s.Latency) == 0 {
		return 1
	}
	sum := 0.0
	for _, b := range l.s.Latency {
		sum += b.Score.value()
	}
	return sum / float64(len(l.s.Latency))
}

// total is the rollout's score: averages of e-processes are e-processes, whatever their dependence (ANALYSIS.md section 7).
func (l look) total() float64 {
	w := l.s.LatencyWeight
	return (1-w)*l.errorScore() + w*l.latencyScore()
}

func (l look) limit() float64 { return 1 / l.c.FalseRollback }

// worst is the latency bound with the highest score; nil where latency is not what tells most.
func (l look) worst() *slower {
	w := l.s.LatencyWeight
	if len(l.s.Latency) == 0 || w*l.latencyScore() <= (1-w)*l.errorScore() {
		return nil
	}
	best := &l.s.Latency[0]
	for i := range l.s.Latency {
		if l.s.Latency[i].Score.value() > best.Score.value() {
			best = &l.s.Latency[i]
		}
	}
	return best
}

// harmful tells that harm is proved: the score, without its most telling pods too, and in the bake the holdback agrees.
func (l look) harmful() bool {
	if l.total() < l.limit() {
		return false
	}
	if worst := l.worst(); worst != nil {
		return worst.Score.guarded(l.s.K)
	}
	return l.s.Errors.guarded(l.s.K) && !l.sharedIncident()
}

// sharedIncident tells that the bake is worse than the past, but not shown to be worse than its holdback.
func (l look) sharedIncident() bool {
	return l.step.Kind == StepBake && l.s.Veto != nil && l.errorScore() >= l.limit() && l.s.Veto.value() < l.limit()
}

// historyLimit is the error rate that the last steps tolerate. The bake: 1.5 times an upper end of what the old policy
// showed, U = (X + 3.1·√(φX) + 5φ)/N (JUDGE.md section 2). The fold: the larger of 5 % and three times the old rate.
// Nothing known of the old policy: 5 %.
func (j FirstJudge) historyLimit(s score, kind StepKind) float64 {
	if s.BaseN <= 0 {
		return j.Config.GrossErrors
	}
	if kind == StepFold {
		return min(1, max(j.Config.GrossErrors, j.Config.GrossRatio*s.BaseX/s.BaseN))
	}
	phi := j.Config.Clumping
	upper := (s.BaseX + 3.1*math.Sqrt(phi*s.BaseX) + 5*phi) / s.BaseN
	return min(1, j.Config.BakeTolerance*upper)
}

// noSource says why nothing can be judged now: the source is silent, or what it has is old.
func (l look) noSource() (Verdict, string, bool) {
	limit := l.c.staleAfter()
	newest := time.UnixMilli(l.s.Newest)
	age := l.now.Sub(newest)
	late := l.elapsed > limit+l.c.Grace
	switch {
	case l.s.Faults >= l.c.QueryErrors:
		return NoData, fmt.Sprintf("no data: %d readings in a row failed: %s", l.s.Faults, l.s.Fault), true
	case l.s.Faults > 0:
		return Wait, "waiting: " + l.s.Fault, true
	case l.s.Newest == 0 && late:
		return NoData, "no data: no series answers the query", true
	case l.s.Newest == 0:
		return Wait, "waiting: no series yet", true
	case age > limit+l.c.Grace && late:
		return NoData, "no data: the newest sample is " + seconds(age) + " old", true
	case age > limit:
		return Wait, "waiting: the newest sample is " + seconds(age) + " old", true
	default:
		return Wait, "", false
	}
}

// counts says whether a side has too few requests; at the step's Max that is NoData.
func (l look) counts(sides ...Side) (Verdict, string, bool) {
	need := l.c.need(l.step)
	for _, side := range sides {
		n := l.side(side).Requests
		if n >= need {
			continue
		}
		if l.step.Max > 0 && l.elapsed >= l.step.Max {
			return NoData, "no data: " + l.tooFew(side, n, need), true
		}
		return Wait, "waiting: " + l.progress(side, n, need), true
	}
	return Wait, "", false
}

// waits says what is still missing before a step may be judged.
func (l look) waits(sides ...Side) (Verdict, string, bool) {
	if verdict, reason, ok := l.counts(sides...); ok {
		return verdict, reason, true
	}
	switch {
	case l.elapsed < l.step.Min:
		return Wait, "waiting: " + seconds(l.elapsed) + " of " + seconds(l.step.Min), true
	case l.fresh.Ticks == 0:
		return Wait, "waiting: the first " + seconds(l.c.Tick) + " are not full", true
	default:
		return Wait, "", false
	}
}

func (l look) atMax() bool { return l.step.Max > 0 && l.elapsed >= l.step.Max }

// gross tells that the new side's errors are beyond what anybody would call no sign of harm. It holds, it never fails.
func (l look) gross() bool {
	c, s := l.fresh.New, l.fresh.Old
	allowed := c.Refused * min(1, l.c.AllowRefused*c.Requests/max(1, c.Refused))
	x := c.Errors - allowed
	return c.Requests > 0 && x > l.c.GrossErrors*c.Requests && x*max(1, s.Requests) > l.c.GrossRatio*s.Errors*c.Requests
}

// suspicion keeps a step where it is while the score is high but no proof; Inconclusive after SuspicionMax times Max.
func (l look) suspicion() (Verdict, string, bool) {
	if l.total() < l.c.Hold && !l.gross() {
		return Wait, "", false
	}
	text := fmt.Sprintf("suspicious (score %.3g of %.0f): %s", l.total(), l.limit(), l.comparison())
	if l.step.Max > 0 && l.elapsed >= time.Duration(l.c.SuspicionMax*float64(l.step.Max)) {
		return Inconclusive, text, true
	}
	return Wait, text, true
}

func (l look) watch() (Verdict, string) {
	if verdict, reason, ok := l.waits(New, Old); ok {
		return verdict, reason
	}
	if verdict, reason, ok := l.suspicion(); ok {
		return verdict, reason
	}
	return Pass, l.comparison() + "; no sign of harm"
}

// proof aims at PassMargin, and at the step's Max takes PassMarginMax.
func (l look) proof() (Verdict, string) {
	if verdict, reason, ok := l.waits(New, Old); ok {
		return verdict, reason
	}
	if verdict, reason, ok := l.suspicion(); ok {
		return verdict, reason
	}
	shown := l.s.Bound.shown(l.c.PassConfidence)
	text := l.comparison() + "; " + boundText(shown, l.c.PassConfidence)
	switch {
	case shown <= l.c.PassMargin, l.atMax() && shown <= l.c.PassMarginMax:
		return Pass, text
	case l.atMax():
		return Inconclusive, text
	default:
		return Wait, "waiting for a bound of " + times(l.c.PassMargin) + ": " + text
	}
}

// lastSteps are the bake and the fold: they end in Pass after their time. An incident of both sides is said and is no harm.
func (l look) lastSteps() (Verdict, string) {
	if verdict, reason, ok := l.waits(New); ok {
		return verdict, reason
	}
	switch {
	case l.sharedIncident():
		return Pass, "shared incident, both sides are worse than before: " + l.comparison()
	case l.step.Kind == StepFold || l.gross():
		if verdict, reason, ok := l.suspicion(); ok {
			return verdict, reason
		}
	}
	return Pass, l.comparison() + "; no sign of harm"
}

// biased tells that identical halves differ grossly, so that the comparison is not to be trusted.
func (l look) biased() (Verdict, string, bool) {
	if l.s.Back == nil {
		return Wait, "", false
	}
	forth := min(l.s.Errors.value(), l.s.Floor.value()) >= l.c.StageScore && l.s.Errors.guarded(l.s.K)
	back := min(l.s.Back.value(), l.s.BackFloor.value()) >= l.c.StageScore && l.s.Back.guarded(l.s.K)
	if !forth && !back {
		return Wait, "", false
	}
	return Inconclusive, "identical halves differ, the comparison is not to be trusted: " + l.comparison(), true
}

// stage ends when both halves have counted enough and the share is the one asked for.
func (l look) stage() (Verdict, string) {
	if verdict, reason, ok := l.waits(New, Old); ok {
		return verdict, reason
	}
	share, n := l.share(), l.fresh.New.Requests+l.fresh.Old.Requests
	text := fmt.Sprintf("share %s of %s requests", percent(share), number(n))
	if l.step.Share > 0 && !l.step.ByInstance {
		off, se := math.Abs(share-l.step.Share), l.s.shareError(share, n, l.fresh.Ticks)
		if off > l.c.ShareErrors*se && off > l.c.ShareTolerance*l.step.Share {
			return Inconclusive, fmt.Sprintf("%s, %s was asked for (%.0f standard errors off): part of the requests cannot be split%s", text, percent(l.step.Share), off/se, l.furthest())
		}
	}
	return Pass, "identical halves agree: " + l.comparison() + "; " + text
}

func (l look) side(s Side) Counts {
	if s == New {
		return l.fresh.New
	}
	return l.fresh.Old
}

func (l look) share() float64 {
	n := l.fresh.New.Requests + l.fresh.Old.Requests
	if n <= 0 {
		return 0
	}
	return l.fresh.New.Requests / n
}
