package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
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
	out := Judgement{New: l.fresh.New, Old: l.fresh.Old, Elapsed: l.elapsed.Seconds(), Share: l.share(), Score: round3(l.total()), Parts: l.details()}
	out.Verdict, out.Reason = l.decide()
	out.Pause = out.Verdict == Fail && l.s.Onset != nil && !l.s.Onset.withStep(l.c.GrossErrors)
	if b := l.s.Bound.shown(l.c.PassConfidence); !math.IsInf(b, 1) {
		out.Bound = b
	}
	if b := slowShown(l.s.Latency, l.c.PassConfidence); !math.IsInf(b, 1) && b > 1 {
		out.SlowBound = b
	}
	out.Ratio, out.AtLeast = l.ratio()
	if text, _ := l.shareOff(); text != "" {
		out.Findings = append(out.Findings, text)
	}
	if text, _ := l.amplification(); text != "" {
		out.Findings = append(out.Findings, text)
	}
	out.Findings = append(out.Findings, l.tick.Problems...)
	if v := out.Verdict; len(l.tick.Problems) > 0 && (v == Wait || v == NoData) && !strings.Contains(out.Reason, l.tick.Problems[0]) {
		out.Reason += "; " + l.tick.Problems[0]
	}
	return out
}

func (l look) decide() (Verdict, string) {
	if l.step.Kind == StepStage {
		if verdict, reason, ok := l.biased(); ok {
			return verdict, reason
		}
	} else {
		if l.harmful() && !l.unsure() {
			return Fail, l.harm() + l.blame()
		}
		if l.outlasts() {
			return Fail, "it does not end: " + l.incident()
		}
		if verdict, reason, ok := l.silent(); ok {
			return verdict, reason
		}
	}
	if verdict, reason, ok := l.noSource(); ok {
		return verdict, reason
	}
	switch {
	case l.step.Kind == StepStage:
		return l.stage()
	case l.step.Kind == StepProof:
		return l.proof()
	case l.step.Kind == StepBake, l.step.bare():
		return l.lastSteps()
	default:
		return l.watch()
	}
}

func (l look) limit() float64 { return 1 / l.c.FalseRollback }

// harmful tells that harm is proved: the score of what blames the new side, and its largest part without the most
// telling pods too (ANALYSIS.md section 7).
func (l look) harmful() bool {
	if l.s.K == 0 && l.fresh.Ticks == 0 {
		return false // a step that nobody has counted in: what there is to leave out is not known
	}
	sum, largest := 0.0, part{}
	for _, p := range l.parts() {
		if p.shared {
			continue
		}
		sum += p.weight * p.score
		if p.weight*p.score > largest.weight*largest.score {
			largest = p
		}
	}
	return sum >= l.limit() && enough(largest.without, l.s.K)
}

// unsure tells that harm is proved in a step without a holdback, and that its first interval alone does not say whether
// the failing began with it.
func (l look) unsure() bool { return l.s.Onset != nil && l.s.Onset.unsure() && !l.atMax() }

// blame says of harm in a step without a holdback what it may be.
func (l look) blame() string {
	switch {
	case l.s.Onset == nil:
		return ""
	case l.s.Onset.withStep(l.c.GrossErrors):
		return ", since the step began"
	case l.gross():
		return ", but not since the step began: an incident of everybody or load, nobody is left to compare with"
	default:
		return "; nobody is left to compare with"
	}
}

// sharedIncident tells that the score is a Fail's, but part of it blames both sides.
func (l look) sharedIncident() bool {
	return l.total() >= l.limit() && slices.ContainsFunc(l.parts(), func(p part) bool { return p.shared && p.weight*p.score >= l.c.Hold })
}

// counted are the new side's requests and errors, without the refusals that are allowed on the whole.
func (l look) counted() half {
	c := l.fresh.New
	return half{N: c.Requests, X: c.Errors - min(c.Refused, l.c.AllowRefused*c.Requests)}
}

// gross tells that so many requests fail that even a comparison with the past alone takes the policy back.
func (l look) gross() bool {
	c := l.counted()
	return c.N > 0 && c.X >= l.c.GrossErrors*c.N
}

// glaring tells that nobody would call the new side's errors no sign of harm, whatever the score. It holds, it never fails.
func (l look) glaring() bool {
	c, s := l.counted(), l.fresh.Old
	if l.step.bare() { // nobody is left to compare with but the time before, and an incident has been waited for
		c = l.s.Onset.sum()
		before := l.s.before(l.s.clumping(l.c.Clumping))
		s = Counts{Requests: before.Requests, Errors: before.Errors}
		if seen := l.s.Accepted; seen.X*before.Requests > before.Errors*seen.N {
			s = Counts{Requests: seen.N, Errors: seen.X}
		}
	}
	return c.N > 0 && c.X >= l.c.GrossErrors*c.N && c.X*max(1, s.Requests) > l.c.GrossRatio*s.Errors*c.N
}

// silent says that the new side's requests are gone while the old side's are there.
func (l look) silent() (Verdict, string, bool) {
	if l.step.bare() {
		return l.vanished()
	}
	seen, expected, ok := l.s.Volume.silent(l.step.Share, l.s.flowed())
	if !ok {
		return Wait, "", false
	}
	text := fmt.Sprintf("silent: the new side counted %s of about %s requests to be expected in the last %d intervals, the old side goes on",
		number(seen), number(expected), silentTicks)
	switch {
	case l.c.SilentFails:
		return Fail, text, true
	case l.overdue():
		return Inconclusive, text, true
	default:
		return Wait, text, true
	}
}

// overdue tells that a step has been held for as long as a suspicion may hold it.
func (l look) overdue() bool {
	return l.step.Max > 0 && l.elapsed >= time.Duration(l.c.SuspicionMax*float64(l.step.Max))
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
		return NoData, "no data: no series answers the query: no request came, or the route statistics are not scraped" + l.from(), true
	case l.s.Newest == 0:
		return Wait, "waiting: no series yet", true
	case age > limit+l.c.Grace && late:
		return NoData, "no data: the newest sample is " + seconds(age) + " old" + l.from(), true
	case age > limit:
		return Wait, "waiting: the newest sample is " + seconds(age) + " old" + l.from(), true
	case l.s.Unusable != "":
		return NoData, "no data: " + l.s.Unusable + l.from(), true
	default:
		return Wait, "", false
	}
}

// from names the source in what is wrong with it.
func (l look) from() string {
	if l.c.Source == "" {
		return ""
	}
	return " (" + l.c.Source + ")"
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
	case l.observed() < l.step.Min:
		return Wait, "waiting: " + seconds(l.observed()) + " of " + seconds(l.step.Min), true
	case l.fresh.Ticks == 0:
		return Wait, "waiting: the first " + seconds(l.c.Tick) + " are not full", true
	default:
		return Wait, "", false
	}
}

func (l look) atMax() bool { return l.step.Max > 0 && l.elapsed >= l.step.Max }

// suspicion keeps a step where it is while the score is high but no proof, or an objective's budget burns;
// Inconclusive after SuspicionMax times Max.
func (l look) suspicion() (Verdict, string, bool) {
	text, missing := l.missing()
	attempts, amplified := l.amplification()
	switch {
	case l.incident() != "":
		text = l.incident()
	case l.sharedIncident():
		text = "shared incident, the old side is as bad: " + l.harm()
	case l.total() >= l.c.Hold, l.glaring():
		text = fmt.Sprintf("suspicious (score %.3g of %.0f): %s", l.total(), l.limit(), l.harm())
	case missing: // before attempts: those of requests that hang are counted, the requests are not
	case amplified:
		text = "retries pile up, " + attempts + ": " + l.comparison()
	case l.s.Success != nil && l.s.Success.holds():
		text = "the new side spends its error budget: " + l.comparison()
	case l.s.Slow != nil && l.s.Slow.holds():
		text = "the new side spends its latency budget: " + l.slowObjective()
	default:
		return Wait, "", false
	}
	if l.overdue() {
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
	shown, slow := l.s.Bound.shown(l.c.PassConfidence), slowShown(l.s.Latency, l.c.PassConfidence)
	text := l.comparison() + "; " + boundText(shown, l.c.PassConfidence, l.s.ErrorFloor) + slowText(slow)
	switch {
	case shown <= l.c.PassMargin && slow <= l.c.LatencyMargin, l.atMax() && shown <= l.c.PassMarginMax && slow <= l.c.LatencyMarginMax:
		return Pass, text
	case l.atMax():
		return Inconclusive, text
	case shown <= l.c.PassMargin:
		return Wait, fmt.Sprintf("waiting for latency to be shown below %s: %s", times(l.c.LatencyMargin), text)
	default:
		return Wait, "waiting for a bound of " + times(l.c.PassMargin) + ": " + text
	}
}

// lastSteps are the bake and the fold: they end in Pass after their time. An incident of both sides is said and is no
// harm, once it is over.
func (l look) lastSteps() (Verdict, string) {
	if l.harmful() {
		return Wait, "suspicious, the next interval tells whether it began with the step: " + l.harm()
	}
	if l.incident() != "" {
		if verdict, reason, ok := l.suspicion(); ok {
			return verdict, reason
		}
	}
	if verdict, reason, ok := l.waits(New); ok {
		return verdict, reason
	}
	if l.sharedIncident() {
		return Pass, "shared incident, both sides are worse than before: " + l.comparison()
	}
	if _, missing := l.missing(); missing || l.glaring() {
		if verdict, reason, ok := l.suspicion(); ok {
			return verdict, reason
		}
	}
	return Pass, l.comparison() + "; no sign of harm"
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
