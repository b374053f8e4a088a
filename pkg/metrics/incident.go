package metrics

import (
	"fmt"
	"math"
)

// An incident that hits both sides alike is no harm of the policy (JUDGE.md section 2). While it lasts nothing can be said
// of the policy, so no step passes; when it is over it is forgotten, and the rollout goes on.

// burntLeast is how many errors a side must have in an interval before it is taken to burn its objective.
const burntLeast = 5

// strikes tells whether in an interval both sides failed grossly, and the old one far more than before.
func (j SequentialJudge) strikes(s score, step JudgeStep, c, o half) bool {
	before := s.before(j.Config.Clumping)
	if step.Kind == StepStage || step.bare() || before.Requests <= 0 {
		return false
	}
	return fails(c, j.Config.GrossErrors) && fails(o, j.Config.GrossErrors) && o.X*before.Requests > j.Config.GrossRatio*before.Errors*o.N
}

// expects is how many errors the old side usually has in an interval, and the most that clumps make of it, as limit says
// it of all that was before; everything may be usual where nothing was.
func (j SequentialJudge) expects(s score, o half) (mean, most float64) {
	phi := s.clumping(j.Config.Clumping)
	before := s.before(phi)
	if s.Past == nil { // the interval itself is no part of what was before
		before.Requests, before.Errors = max(0, before.Requests-o.N), max(0, before.Errors-o.X)
	}
	if before.Requests <= 0 {
		return o.N, o.N
	}
	mean = before.Errors / before.Requests * o.N
	return mean, mean + 3.1*math.Sqrt(phi*mean) + 5*phi
}

// usual is an interval's old side as a bound may count it: what it suffers alone is not what the old policy usually does,
// and would show a low ratio that holds only meanwhile. Fewer errors of the old side only make a bound harder to show.
func (j SequentialJudge) usual(s score, o half) half {
	if mean, most := j.expects(s, o); fails(o, j.Config.GrossErrors) && o.X > most {
		o.X = mean
	}
	return o
}

// unusual tells that the old side's errors in an interval are beyond what was seen before it. Without a history the bake
// and the fold are compared with what the rollout itself saw: a policy that harms both sides must not raise that.
func (j SequentialJudge) unusual(s score, o half) bool {
	_, most := j.expects(s, o)
	return s.Past == nil && o.X > most
}

// burns tells whether in an interval both sides burnt an objective so fast that it would be harm.
func (j SequentialJudge) burns(s score, step JudgeStep, c, o half) bool {
	if j.Config.SuccessTarget <= 0 || j.Config.RollbackOnShared || step.Kind == StepStage || step.bare() {
		return false
	}
	if s.chronic(j.Config) {
		return false
	}
	limit := min(0.99, j.Config.BurnFail*(1-j.Config.SuccessTarget))
	return c.X >= burntLeast && o.X >= burntLeast && fails(c, limit) && fails(o, limit)
}

func fails(h half, share float64) bool { return h.N > 0 && h.X >= share*h.N }

// noteIncident remembers an interval in which both sides failed. What the old side does in one that struck is not what
// the old policy usually does, so it is no part of the history.
func (j SequentialJudge) noteIncident(s score, step JudgeStep, c, o half) (score, bool) {
	struck, lasts := j.strikes(s, step, c, o), len(s.Incident) > 0
	s.Incident = nil
	if struck || j.burns(s, step, c, o) {
		s.Incident = []half{{N: c.N, X: c.X}, {N: o.N, X: o.X}}
	}
	if len(s.Incident) > 0 {
		s.Struck++
		if !lasts {
			s.Bouts++
		}
	}
	if step.Kind != StepStage && step.Kind != StepBake && step.Kind != StepFold && (struck || j.unusual(s, o)) {
		s.Own.Requests, s.Own.Errors = max(0, s.Own.Requests-o.N), max(0, s.Own.Errors-o.X)
	}
	return s, struck
}

// bouts is how often an incident of both sides may begin in a step before it is taken for one that comes and goes.
const bouts = 3

// incident says that both sides fail in the last interval, or that they did so again and again, in half of the step's: it
// may be the new policy's own, such as a storm of retries. Empty where they do not.
func (l look) incident() string {
	switch {
	case len(l.s.Incident) == 2:
	case l.s.Bouts >= bouts && 2*l.s.Struck >= l.fresh.Ticks:
		return fmt.Sprintf("shared incident, both sides failed in %d of %d intervals: ", l.s.Struck, l.fresh.Ticks) + l.comparison()
	default:
		return ""
	}
	return "shared incident, the old side is as bad: " + compare("errors", l.s.Incident[0], l.s.Incident[1], "") + " in the last interval"
}
