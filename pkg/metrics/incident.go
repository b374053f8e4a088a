package metrics

import (
	"fmt"
	"math"
	"time"
)

// An incident that hits both sides alike is no harm of the policy (JUDGE.md section 2). While it lasts nothing can be said
// of the policy, so no step passes; when it is over it is forgotten, and the rollout goes on. Where nobody is left under
// the old policy, an incident is what did not begin with the step (onset).

// burntLeast is how many errors a side must have in an interval before it is taken to burn its objective.
const burntLeast = 5

// incident is an interval beyond what the past tolerates: both sides of it.
type incident struct {
	New half `json:"c"`
	Old half `json:"s,omitzero"`
	// Shared tells that the old side fails too, or that nobody is left on it.
	Shared bool `json:"b,omitempty"`
}

// struck tells that the last interval was of an incident that both sides share.
func (s score) struck() bool { return s.Incident != nil && s.Incident.Shared }

// incident is the last interval where it was of one; nil else. One word decides for all that ask: whether a step is held,
// and what the interval says of bounds, of clumps and of the old policy.
func (j SequentialJudge) incident(s score, step JudgeStep, c, o half) *incident {
	before := s.before(s.clumping(j.Config.Clumping))
	if step.Kind == StepStage || before.Requests <= 0 {
		return nil
	}
	gross, tolerated := j.Config.GrossErrors, j.bareLimit(s, before)
	least := max(onsetLeast*gross, tolerated)
	found := &incident{New: half{N: c.N, X: c.X}, Old: half{N: o.N, X: o.X}}
	switch {
	case step.bare():
		found.Shared = true
		if s.Onset != nil && s.Onset.strikes(c, gross, least) {
			return found
		}
		return nil
	case fails(c, max(gross, tolerated)) && fails(o, max(gross, tolerated)), j.burns(s, c, o):
		found.Shared = true
		return found
	case c.with(o).share() >= least:
		return found
	default:
		return nil
	}
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

// vetoClumping is φ for the last interval's comparison of a bake with its holdback. In one far beyond the past errors clump
// as they do in incidents, of which the quiet time of a history says nothing: as those of the history did, at least as
// what is unknown.
func (s score) vetoClumping(set float64) float64 {
	if s.Incident == nil {
		return s.clumping(set)
	}
	return max(s.clumping(set), s.past().Struck, unknownClumping)
}

// burns tells whether in an interval both sides burnt an objective so fast that it would be harm.
func (j SequentialJudge) burns(s score, c, o half) bool {
	if j.Config.SuccessTarget <= 0 || j.Config.RollbackOnShared || s.chronic(j.Config) {
		return false
	}
	limit := min(0.99, j.Config.BurnFail*(1-j.Config.SuccessTarget))
	return c.X >= burntLeast && o.X >= burntLeast && fails(c, limit) && fails(o, limit)
}

func fails(h half, share float64) bool { return h.N > 0 && h.X >= share*h.N }

// noteIncident remembers an incident. What the old side does in one is not what the old policy usually does, so it is no
// part of the history.
func (j SequentialJudge) noteIncident(s score, step JudgeStep, c, o half) score {
	lasts := s.struck()
	s.Incident = j.incident(s, step, c, o)
	struck := s.struck()
	s.Spell = s.Spell.add(struck, lasts)
	if step.Kind != StepStage && !step.bare() {
		s.Spells = s.Spells.add(struck, lasts)
	}
	if s.Onset != nil {
		began := *s.Onset
		if began.Late = began.Late || struck; !struck && c.N > 0 {
			began = began.add(c, o.N, onsetLeast*j.Config.GrossErrors)
		}
		s.Onset = &began
	}
	if step.Kind != StepStage && step.Kind != StepBake && step.Kind != StepFold && (struck || j.unusual(s, o)) {
		s.Own.Requests, s.Own.Errors = max(0, s.Own.Requests-o.N), max(0, s.Own.Errors-o.X)
	}
	return s
}

// spells counts intervals, those of incidents that both sides share, and how often one began.
type spells struct {
	Ticks  int `json:"t,omitempty"`
	Struck int `json:"s,omitempty"`
	Bouts  int `json:"b,omitempty"`
}

func (n spells) add(struck, lasted bool) spells {
	n.Ticks++
	if struck {
		n.Struck++
	}
	if struck && !lasted {
		n.Bouts++
	}
	return n
}

// An incident of both sides that has begun bouts times in a step and covers half of it is taken for one that comes and
// goes, as is one that has begun stormBouts times in the rollout and covers a part of it that is both large and many
// times that of the history.
const (
	bouts         = 3
	stormBouts    = 4
	stormPart     = 0.125
	stormsUnusual = 4
)

// storms tells that incidents come and go as the past does not know it: they may be the new policy's own, such as a
// storm of retries.
func (s score) storms() bool {
	if s.Spell.Bouts >= bouts && 2*s.Spell.Struck >= s.Spell.Ticks {
		return true
	}
	part := float64(s.Spells.Struck) / float64(max(1, s.Spells.Ticks))
	return s.Past != nil && s.Spells.Bouts >= stormBouts && part >= stormPart && part > stormsUnusual*s.Past.Incidents
}

// incident says that an incident lasts, or that both sides failed again and again. Empty where there is none.
func (l look) incident() string {
	switch i := l.s.Incident; {
	case i != nil && l.step.bare():
		return "an incident that did not begin with the step, errors " + rate(i.New.X, i.New.N) + " in the last interval, nobody is left to compare with: " + l.comparison()
	case i != nil && i.Shared:
		return "shared incident, the old side is as bad: " + compare("errors", i.New, i.Old, "") + " in the last interval"
	case !l.step.bare() && l.s.storms():
		return fmt.Sprintf("shared incident that comes and goes, both sides failed in %d of %d intervals of the rollout: ", l.s.Spells.Struck, l.s.Spells.Ticks) + l.comparison()
	case i != nil && (l.step.Kind == StepProof || l.step.Kind == StepBake):
		both := i.New.with(i.Old)
		return "an incident is under way, errors " + rate(both.X, both.N) + " of both sides in the last interval: " + l.comparison()
	default:
		return ""
	}
}

// outlasts tells that incidents in a step without a holdback have taken as long as the step's longest time: they may
// be the policy's own, under a load that came later, and a person should look.
func (l look) outlasts() bool {
	return l.step.bare() && l.s.Incident != nil && time.Duration(l.s.Spell.Struck)*l.c.Tick >= l.step.Max
}
