package simulate

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// End is how a rollout ends.
type End string

// The ends. Passed is the new policy in force everywhere (or compared, where that was asked for), Failed a Fail of the
// judge or of the tripwire, Paused what waits for a person while the policy stays in force: a Fail that rests on a
// comparison with the past alone, and whatever the rollout is told to pause for. All others are no verdict, and the old
// policy is back.
const (
	Passed       End = "Pass"
	Failed       End = "Fail"
	Paused       End = "Paused"
	Inconclusive End = "Inconclusive"
	NoData       End = "NoData"
	TimedOut     End = "Timeout"
)

// Ends lists them in the order in which people ask for them.
func Ends() []End { return []End{Passed, Failed, Paused, Inconclusive, NoData, TimedOut} }

// outcome is one simulated rollout.
type outcome struct {
	end  End
	step string
	// reason is what the machine said where it did not pass; tripped tells that it was the tripwire that spoke.
	reason  string
	tripped bool
	// took is the time from its start, exposed the time from the first request under the new policy, until it was in
	// force everywhere, or out.
	took, exposed time.Duration
	// bound is what the proof showed; 0: nothing.
	bound float64
	// requests are those of everybody since the policy was first in force, harmed those that it did harm to.
	requests, harmed float64
}

// run is one rollout in virtual time.
type run struct {
	world  *world
	plan   *rollout.Plan
	judge  metrics.Course
	wire   *metrics.TripwireConfig // nil: nobody watches
	state  rollout.State
	facts  rollout.Facts
	now    time.Time
	first  time.Time // of the policy in force; zero: not yet
	result outcome
}

// judged runs the plan from its beginning to its end: rollout.Next decides, and what it decides happens at once, but
// for the time in which a decision takes effect.
func judged(w *world, p *rollout.Plan, j metrics.Judge, wire *metrics.TripwireConfig) outcome {
	r := &run{world: w, plan: p, judge: metrics.Begin(j), wire: wire, now: w.start}
	r.state = rollout.State{Phase: rollout.PhaseAt(p, 0), Started: w.start, Deadline: w.start.Add(p.Settings.Deadline), Steps: len(p.Steps)}
	r.facts.Candidates = w.pods
	for {
		switch a := rollout.Next(p, r.state, r.facts, r.now).(type) {
		case rollout.ActLabel:
			r.facts.Cohort = append(r.facts.Cohort, a.Pods...)
		case rollout.ActHold:
			r.hold()
		case rollout.ActMeasure:
			r.measure(a.At)
		case rollout.ActAdvance:
			r.advance()
		case rollout.ActPause:
			if a.Cause != "" {
				return r.stop(Paused, a.Reason)
			}
			r.wait(a.Until)
		case rollout.ActTakeBack:
			reason := a.Reason
			if a.Cause == rollout.CauseTimeout { // the machine names a time of day, which here is nobody's
				reason = "the deadline of " + p.Settings.Deadline.String() + " has passed"
			}
			return r.stop(endOf(a.Cause, r.facts.Judgement), reason)
		default: // a plan that writes nothing has nothing else to do but to end
			return r.finish()
		}
	}
}

func (r *run) hold() {
	r.state.Holding, r.state.Since, r.state.Tick, r.state.Polled, r.state.Seen = true, r.now, r.now, r.now, r.now
	r.facts.Judgement = metrics.Judgement{}
	if r.first.IsZero() && r.force().acts {
		r.first = r.now
	}
}

// force is what is in force at the step.
func (r *run) force() force {
	return r.world.force(r.plan.Steps[r.state.Step].Exposure, len(r.facts.Cohort))
}

// pass lets time pass at what is in force.
func (r *run) pass(to time.Time, f force) metrics.Tick {
	s := r.world.pass(r.now, to, f)
	r.count(s, 1)
	r.now = to
	return s.tick
}

// count adds a part of an interval to what happened to users.
func (r *run) count(s seen, part float64) {
	if !r.first.IsZero() {
		r.result.requests, r.result.harmed = r.result.requests+part*s.requests, r.result.harmed+part*s.harmed
	}
}

func (r *run) measure(at time.Time) {
	tick := r.watched(at, r.force())
	r.state.Tick = r.now
	if r.plan.Settings.NoAnalysis || r.facts.Trip.Tripped {
		return
	}
	step := rollout.JudgeStepOf(r.state, r.plan.Steps[r.state.Step])
	r.facts.Judgement = r.judge.Step(step, tick, r.now)
	r.state.Polled = r.now
	if all := r.facts.Judgement.New.Plus(r.facts.Judgement.Old); step.Kind == metrics.StepStage && all.Requests > 0 {
		r.state.TripBase = all.Errors / all.Requests
	}
	if v := r.facts.Judgement.Verdict; v != metrics.NoData && v != metrics.Error {
		r.state.Seen = r.now
	}
}

func (r *run) advance() {
	if r.plan.Steps[r.state.Step].Kind == metrics.StepProof {
		r.result.bound = r.facts.Judgement.Bound
	}
	r.facts.Judgement = metrics.Judgement{}
	r.state.Step++
	r.state.Holding = false
	r.state.Phase = rollout.PhaseAt(r.plan, r.state.Step)
}

// wait is a pause that the rollout asks for: for its time, or until a person promotes it, which is at once here. What is
// in force goes on meanwhile.
func (r *run) wait(until time.Time) {
	r.state.PausePassed = r.state.Step + 1
	if until.IsZero() {
		return
	}
	for r.now.Before(until) && r.state.Step > 0 {
		before := r.plan.Steps[r.state.Step-1].Exposure
		r.pass(earlier(until, r.now.Add(time.Minute)), r.world.force(before, len(r.facts.Cohort)))
	}
	r.now = until
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// finish is the end of a rollout that was not taken back.
func (r *run) finish() outcome {
	r.result.end = Passed
	return r.ended()
}

// stop takes the policy out; what is in force goes on until that has taken effect. A pause that waits for a person ends
// the run likewise: nobody can say how long the person takes.
func (r *run) stop(end End, reason string) outcome {
	r.result.end, r.result.reason, r.result.tripped = end, reason, r.facts.Trip.Tripped
	reaction := r.world.traffic.Reaction
	if r.result.tripped {
		reaction = min(reaction, tripReaction)
	}
	if reaction > 0 && !r.first.IsZero() {
		r.pass(r.now.Add(reaction), r.force())
	}
	return r.ended()
}

func (r *run) ended() outcome {
	r.result.step = r.plan.Steps[min(r.state.Step, len(r.plan.Steps)-1)].Name
	r.result.took = r.now.Sub(r.world.start)
	if !r.first.IsZero() {
		r.result.exposed = r.now.Sub(r.first)
	}
	return r.result
}

func endOf(cause rollout.Cause, j metrics.Judgement) End {
	switch {
	case cause == rollout.CauseBreach:
		return Failed
	case cause == rollout.CauseTimeout:
		return TimedOut
	case j.Verdict == metrics.NoData, j.Verdict == metrics.Error:
		return NoData
	}
	return Inconclusive
}
