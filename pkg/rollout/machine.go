package rollout

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Facts are what the executor saw just before it asks Next.
type Facts struct {
	// Judgement is the judge's opinion after the newest tick; empty Verdict: no tick since the step began.
	Judgement metrics.Judgement
	// Edited is the touched object that somebody changed meanwhile, in words; empty: none.
	Edited string
	// Interrupted tells that a signal asked this run to end; what follows is OnSignal.
	Interrupted bool
	// OnSignal is rollback or pause.
	OnSignal string
	// Request is what a person asked for: abort, pause, resume or promote.
	Request string
	// Attended tells that somebody may answer while it is paused; otherwise a pause ends the run (exit 10).
	Attended bool
	// Candidates are the client pods that could be in the cohort, sorted; by instance only.
	Candidates []string
}

// Action is what to do next. Its cases are the types of this file.
type Action interface{ action() }

// ActWrite sends the write of a stage.
type ActWrite struct{ Step, Stage int }

// ActProve waits until every proxy holds a stage.
type ActProve struct{ Step, Stage int }

// ActLabel puts pods into the cohort and waits until they hold it.
type ActLabel struct{ Pods []string }

// ActHold begins to judge the step.
type ActHold struct{}

// ActMeasure waits for the time and reads the next interval.
type ActMeasure struct{ At time.Time }

// ActAdvance ends the step.
type ActAdvance struct{ Why string }

// ActPause waits for a person; Until is the time at which it goes on by itself, zero: never.
type ActPause struct {
	Reason string
	Until  time.Time
}

// ActResume goes on after a pause, at the same step.
type ActResume struct{}

// ActTakeBack begins the way back.
type ActTakeBack struct {
	Cause  Cause
	Reason string
}

// ActNeutralise takes the new policy out of force and proves it.
type ActNeutralise struct{}

// ActUnlabel takes the pods out of the cohort.
type ActUnlabel struct{}

// ActTidy brings the touched objects back, one after the other, each behind its proof.
type ActTidy struct{}

// ActRelease takes our marks off the objects, gives their fields back to their owners and closes the record.
type ActRelease struct{}

// ActEnd ends the run in a phase.
type ActEnd struct{ Phase Phase }

func (ActWrite) action()      {}
func (ActProve) action()      {}
func (ActLabel) action()      {}
func (ActHold) action()       {}
func (ActMeasure) action()    {}
func (ActAdvance) action()    {}
func (ActPause) action()      {}
func (ActResume) action()     {}
func (ActTakeBack) action()   {}
func (ActNeutralise) action() {}
func (ActUnlabel) action()    {}
func (ActTidy) action()       {}
func (ActRelease) action()    {}
func (ActEnd) action()        {}

// The acts of taking back, as State.Undo counts them.
const (
	undoNothing = iota
	undoNeutralised
	undoUnlabelled
	undoTidied
	undoReleased
)

// Next is the only place that decides. It is total: it has an answer for every plan, state, facts and time.
//
//	Progressing ─ write → prove → (label) → hold ─ tick … Pass ─→ next step ─→ Baking ─→ Folding ─→ Succeeded
//	      └───── Fail, timeout, edit, signal, abort ─→ RollingBack ─ neutralise → unlabel → tidy → release ─→ RolledBack
func Next(p *Plan, s State, f Facts, now time.Time) Action {
	switch s.Phase {
	case RollingBack:
		return nextBack(s)
	case Succeeded, RolledBack, Superseded, Failed:
		return ActEnd{Phase: s.Phase}
	}
	if back, ok := mustTakeBack(s, f, now); ok {
		return back
	}
	if s.Phase == Paused {
		return nextPaused(s, f, now)
	}
	if s.Step >= len(p.Steps) {
		return nextDone(s)
	}
	return nextForward(p, s, f, now)
}

func nextBack(s State) Action {
	switch s.Undo {
	case undoNothing:
		return ActNeutralise{}
	case undoNeutralised:
		return ActUnlabel{}
	case undoUnlabelled:
		return ActTidy{}
	case undoTidied:
		return ActRelease{}
	default:
		return ActEnd{Phase: RolledBack}
	}
}

func nextDone(s State) Action {
	if s.Undo < undoReleased {
		return ActRelease{}
	}
	return ActEnd{Phase: Succeeded}
}

// mustTakeBack lists what ends a rollout whatever it is doing.
func mustTakeBack(s State, f Facts, now time.Time) (Action, bool) {
	switch {
	case f.Request == RequestAbort:
		return ActTakeBack{Cause: CausePerson, Reason: "aborted by a person"}, true
	case f.Interrupted && f.OnSignal != OnSignalPause:
		return ActTakeBack{Cause: CausePerson, Reason: "interrupted by a signal"}, true
	case f.Edited != "":
		return ActTakeBack{Cause: CauseEdited, Reason: f.Edited}, true
	case !s.Deadline.IsZero() && now.After(s.Deadline):
		return ActTakeBack{Cause: CauseTimeout, Reason: "the deadline " + s.Deadline.UTC().Format(time.RFC3339) + " has passed"}, true
	}
	return nil, false
}

// The requests that a person can leave on the Lease.
const (
	RequestAbort   = "abort"
	RequestPause   = "pause"
	RequestResume  = "resume"
	RequestPromote = "promote"
)

// OnSignalPause leaves everything as it is when a signal comes.
const OnSignalPause = "pause"

func nextPaused(s State, f Facts, now time.Time) Action {
	switch {
	case f.Request == RequestPromote && s.Holding:
		return ActAdvance{Why: "promoted by a person"}
	case f.Request == RequestResume, f.Request == RequestPromote:
		return ActResume{}
	case !s.PauseUntil.IsZero() && !now.Before(s.PauseUntil):
		return ActResume{}
	case f.Interrupted, s.PauseUntil.IsZero() && !f.Attended:
		return ActEnd{Phase: Paused}
	}
	return ActPause{Reason: s.Reason, Until: s.PauseUntil}
}

func nextForward(p *Plan, s State, f Facts, now time.Time) Action {
	step := p.Steps[s.Step]
	if f.Interrupted {
		return ActPause{Reason: "interrupted by a signal"}
	}
	if f.Request == RequestPause {
		return ActPause{Reason: "paused by a person"}
	}
	if step.Pause && s.PausePassed <= s.Step {
		return stepPause(step, now)
	}
	if s.Stage < len(step.Stages) {
		if s.Written {
			return ActProve{Step: s.Step, Stage: s.Stage}
		}
		return ActWrite{Step: s.Step, Stage: s.Stage}
	}
	if more := missingInstances(step, s, f); len(more) > 0 {
		return ActLabel{Pods: more}
	}
	if !s.Holding {
		return ActHold{}
	}
	return nextHold(p, step, s, f, now)
}

func stepPause(step PlannedStep, now time.Time) Action {
	if step.PauseFor > 0 {
		return ActPause{Reason: "the rollout asks for a pause before " + step.Name, Until: now.Add(step.PauseFor)}
	}
	return ActPause{Reason: "the rollout asks for a person's word before " + step.Name}
}

// missingInstances are the pods to label so that the cohort has the size asked for, counting only pods that live.
func missingInstances(step PlannedStep, s State, f Facts) []string {
	if step.Labels == nil {
		return nil
	}
	want := InstanceCount(step.Exposure, len(f.Candidates))
	var have int
	var free []string
	for _, pod := range f.Candidates {
		if slices.Contains(s.Instances, pod) {
			have++
		} else {
			free = append(free, pod)
		}
	}
	return free[:min(max(want-have, 0), len(free))]
}

// InstanceCount is the number of pods of a share: rounded up, at least one, and short of all while a bake holds some
// back.
func InstanceCount(e policy.Exposure, pods int) int {
	if pods == 0 || e.Share <= 0 {
		return 0
	}
	n := int(math.Ceil(e.Share*float64(pods) - 1e-9))
	if e.Share < 1 && n >= pods && pods > 1 {
		n = pods - 1
	}
	return max(n, 1)
}

func nextHold(p *Plan, step PlannedStep, s State, f Facts, now time.Time) Action {
	if f.Request == RequestPromote {
		return ActAdvance{Why: "promoted by a person"}
	}
	if step.Kind == metrics.StepClean {
		return ActAdvance{Why: "cleaned up"}
	}
	if p.Settings.NoAnalysis {
		if end := s.Since.Add(step.Min); now.Before(end) {
			return ActMeasure{At: earlier(end, now.Add(p.Settings.Tick))}
		}
		return ActAdvance{Why: "not judged: analysis is off"}
	}
	switch f.Judgement.Verdict {
	case metrics.Pass:
		return ActAdvance{Why: f.Judgement.Reason}
	case metrics.Fail:
		return onFail(p, s, f.Judgement)
	case metrics.Inconclusive:
		return onUnclear(p.Settings.OnInconclusive, "inconclusive: "+f.Judgement.Reason)
	case metrics.NoData, metrics.Error:
		if late := s.Since.Add(noDataPatience(step)); now.After(late) {
			return onUnclear(p.Settings.OnNoData, "nothing to judge by: "+f.Judgement.Reason)
		}
	}
	return ActMeasure{At: s.Tick.Add(p.Settings.Tick)}
}

// noDataPatience is how long a step waits for data: its longest time, but five minutes at most (JUDGE.md §3).
func noDataPatience(step PlannedStep) time.Duration {
	return min(max(step.Max, step.Min), 5*time.Minute)
}

func onFail(p *Plan, s State, j metrics.Judgement) Action {
	if p.Settings.OnFailure == "pause" && s.Reason != j.Reason {
		return ActPause{Reason: "harm found: " + j.Reason}
	}
	return ActTakeBack{Cause: CauseBreach, Reason: j.Reason}
}

func onUnclear(choice, reason string) Action {
	switch choice {
	case "promote":
		return ActAdvance{Why: reason}
	case "pause":
		return ActPause{Reason: reason}
	default:
		return ActTakeBack{Cause: CauseInconclusive, Reason: reason}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// PhaseAt is the phase of a step while it goes forward.
func PhaseAt(p *Plan, step int) Phase {
	if step >= len(p.Steps) {
		return Folding
	}
	switch p.Steps[step].Kind {
	case metrics.StepBake:
		return Baking
	case metrics.StepFold, metrics.StepClean:
		return Folding
	default:
		return Progressing
	}
}

// Asked says what a step asks for and what it will be: "asked 1 %, 3 client pods: 1 pod, 33 %".
func Asked(e policy.Exposure, candidates int) string {
	switch {
	case e.Mode == policy.Staged || e.By == policy.All:
		return ""
	case e.By == policy.ByInstance && candidates > 0:
		n := InstanceCount(e, candidates)
		return fmt.Sprintf("asked %.4g %%, %d client pods: %d, %.0f %%", e.Share*100, candidates, n, 100*float64(n)/float64(candidates))
	case e.By == policy.ByRequest:
		if real := e.Window.Share(); math.Abs(real-e.Share) > 0.00005 {
			return fmt.Sprintf("asked %.4g %%, %d of %d ids: %.3f %%", e.Share*100, e.Window.Width, policy.Buckets, real*100)
		}
	}
	return ""
}
