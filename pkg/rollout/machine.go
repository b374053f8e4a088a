package rollout

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Facts are what the executor saw just before it asks Next.
type Facts struct {
	// Judgement is the judge's opinion after the newest tick; empty Verdict: no tick since the step began.
	Judgement metrics.Judgement
	// Trip is what the tripwire says of the step.
	Trip metrics.Trip
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
	// Candidates are the client pods that could be in the cohort, in the order in which they enter it. Cohort are the
	// pods that bear the label and were proved to be in it; Labelled bear the label and were not. By instance only.
	Candidates, Cohort, Labelled []string
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
//	                                                        └── it cannot be done, for minutes ─→ Failed
func Next(p *Plan, s State, f Facts, now time.Time) Action {
	s.Step, s.Stage = max(s.Step, 0), max(s.Stage, 0)
	switch s.Phase {
	case RollingBack:
		return nextBack(s)
	case Succeeded, RolledBack, Superseded, Failed:
		return ActEnd{Phase: s.Phase}
	}
	if p.Back {
		return ActTakeBack{Cause: CauseInternal, Reason: "its plan cannot be made again, so that it can only go back"}
	}
	if s.Step >= len(p.Steps) {
		return nextDone(s)
	}
	if back, ok := mustTakeBack(s, f, now); ok {
		return back
	}
	if s.Phase == Paused {
		return nextPaused(s, f, now)
	}
	return nextForward(p, s, f, now)
}

func nextBack(s State) Action {
	switch {
	case s.Undo <= undoNothing:
		return ActNeutralise{}
	case s.Undo == undoNeutralised:
		return ActUnlabel{}
	case s.Undo == undoUnlabelled:
		return ActTidy{}
	case s.Undo == undoTidied:
		return ActRelease{}
	default:
		return ActEnd{Phase: RolledBack}
	}
}

// nextDone ends a rollout whose last step has passed: what is left is housekeeping, which nobody can call off.
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
		return ActTakeBack{Cause: CausePerson, Reason: "aborted by a person" + s.PausedFor()}, true
	case f.Interrupted && f.OnSignal != OnSignalPause:
		return ActTakeBack{Cause: CausePerson, Reason: "interrupted by a signal"}, true
	case f.Edited != "":
		return ActTakeBack{Cause: CauseEdited, Reason: f.Edited}, true
	case !s.Deadline.IsZero() && now.After(s.Deadline):
		return ActTakeBack{Cause: CauseTimeout, Reason: "the deadline " + s.Deadline.UTC().Format(time.RFC3339) + " has passed before its end (--deadline is the time from the start, pauses included)"}, true
	}
	return nil, false
}

// PausedFor is what a pause was for that a person ends by taking everything back, to be put behind that reason; empty where
// it was for nothing.
func (s State) PausedFor() string {
	if s.Phase != Paused || s.Cause == "" || s.Cause == CausePerson {
		return ""
	}
	return "; it was paused because: " + s.Reason
}

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
	return ActPause{Cause: s.Cause, Reason: s.Reason, Until: s.PauseUntil}
}

func nextForward(p *Plan, s State, f Facts, now time.Time) Action {
	step := p.Steps[s.Step]
	switch {
	case f.Trip.Tripped && s.Holding:
		return onTrip(p, f.Trip)
	case f.Interrupted:
		return ActPause{Cause: CausePerson, Reason: "interrupted by a signal"}
	case f.Request == RequestPause:
		return ActPause{Cause: CausePerson, Reason: "paused by a person"}
	case step.Pause && s.PausePassed <= s.Step:
		return stepPause(step, now)
	case s.Stage < len(step.Stages) && s.Written:
		return ActProve{Step: s.Step, Stage: s.Stage}
	case s.Stage < len(step.Stages):
		return ActWrite{Step: s.Step, Stage: s.Stage}
	case step.Kind == metrics.StepClean:
		return ActAdvance{Why: "cleaned up"}
	}
	if alone(p, step, f) {
		return ActTakeBack{Cause: CauseInconclusive, Reason: "one client pod, " + f.Candidates[0] + ": under the new policy it would leave nobody under the old one to " +
			"compare with; go by request (--by request), or bring it into force at once, judged before and after (meshpol apply)"}
	}
	if more := missingInstances(step, f); len(more) > 0 {
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

func nextHold(p *Plan, step PlannedStep, s State, f Facts, now time.Time) Action {
	switch {
	case f.Request == RequestPromote:
		return ActAdvance{Why: "promoted by a person"}
	case p.Settings.NoAnalysis:
		return nextUnjudged(p, step, s, now)
	}
	switch f.Judgement.Verdict {
	case metrics.Pass:
		// A Pass is of its interval. Where the cluster was slow to answer since, it is asked for again.
		if now.Sub(s.Tick) <= p.Settings.tick() {
			return ActAdvance{Why: f.Judgement.Reason}
		}
	case metrics.Fail:
		return onFail(p, step, f.Judgement)
	case metrics.Inconclusive:
		return onInconclusive(p, step, f)
	case metrics.NoData, metrics.Error:
		if now.Sub(later(s.Since, s.Seen)) > noDataPatience(step) {
			return onUnclear(p.Settings.OnNoData, f.Attended, "nothing to judge by: "+f.Judgement.Reason)
		}
	}
	return ActMeasure{At: later(s.Tick, s.Polled).Add(p.Settings.tick())}
}

// nextUnjudged watches for edits, signals and requests alone, for the step's least time.
func nextUnjudged(p *Plan, step PlannedStep, s State, now time.Time) Action {
	end := s.Since.Add(step.Min)
	if !now.Before(end) {
		return ActAdvance{Why: "not judged: analysis is off"}
	}
	if at := now.Add(p.Settings.tick()); at.Before(end) {
		return ActMeasure{At: at}
	}
	return ActMeasure{At: end}
}

// noDataPatience is how long a step waits for data since it last had some: its longest time, but five minutes at most
// (JUDGE.md §3).
func noDataPatience(step PlannedStep) time.Duration {
	return min(max(step.Max, step.Min), 5*time.Minute)
}

// onFail takes back or pauses. In step 0 nothing was exposed: a check that is beyond its limit there is not the policy's
// doing, and says nothing of it.
func onFail(p *Plan, step PlannedStep, j metrics.Judgement) Action {
	if step.Kind == metrics.StepStage {
		return ActTakeBack{Cause: CauseInconclusive, Reason: "nothing was exposed yet, and already " + j.Reason}
	}
	if p.Settings.OnFailure == "pause" || j.Pause {
		return ActPause{Cause: CauseBreach, Reason: "harm found: " + j.Reason}
	}
	return ActTakeBack{Cause: CauseBreach, Reason: j.Reason}
}

// onInconclusive never goes on after step 0: where identical halves differ, no later comparison is to be trusted, and
// nothing was exposed yet (JUDGE.md §5).
func onInconclusive(p *Plan, step PlannedStep, f Facts) Action {
	reason := "inconclusive: " + f.Judgement.Reason
	if step.Kind == metrics.StepStage {
		return ActTakeBack{Cause: CauseInconclusive, Reason: reason}
	}
	return onUnclear(p.Settings.OnInconclusive, f.Attended, reason)
}

func onUnclear(choice string, attended bool, reason string) Action {
	switch {
	case choice == "promote":
		return ActAdvance{Why: reason}
	case choice == "pause", choice != "rollback" && attended:
		return ActPause{Cause: CauseInconclusive, Reason: reason}
	default:
		return ActTakeBack{Cause: CauseInconclusive, Reason: reason}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// heeds tells whether a request changes at once what a rollout does.
func heeds(p *Plan, s State, request string) bool {
	if s.Phase == RollingBack || s.Phase.Ended() || s.Step >= len(p.Steps) {
		return false
	}
	switch request {
	case RequestAbort:
		return true
	case RequestPause:
		return s.Phase != Paused
	case RequestResume:
		return s.Phase == Paused
	case RequestPromote:
		return s.Phase == Paused || s.Holding
	}
	return false
}

// waits tells whether a request is to be kept for later: a promotion that comes while a step is written and proved
// counts once it is judged.
func waits(p *Plan, s State, request string) bool {
	return request == RequestPromote && s.Phase != RollingBack && !s.Phase.Ended() && s.Step < len(p.Steps)
}

// PhaseAt is the phase of a step while it goes forward.
func PhaseAt(p *Plan, step int) Phase {
	if step < 0 {
		return Progressing
	}
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

// alone tells whether the first step by instance would put the only client pod there is under the new policy, although the
// rollout is to be judged.
func alone(p *Plan, step PlannedStep, f Facts) bool {
	return step.Labels != nil && step.Exposure.Mode != policy.Staged && len(f.Candidates) == 1 && len(f.Cohort)+len(f.Labelled) == 0 &&
		!p.Settings.NoAnalysis && p.Settings.OnInconclusive != "promote"
}

// missingInstances are the pods to label and to prove so that the cohort has the size asked for. Step 0 labels nobody:
// its halves are identical, and a cohort of half of the pods would be too wide for the step that follows.
func missingInstances(step PlannedStep, f Facts) []string {
	if step.Labels == nil || step.Exposure.Mode == policy.Staged {
		return nil
	}
	want := InstanceCount(step.Exposure, len(f.Candidates))
	taken := map[string]bool{}
	for _, pod := range append(append([]string{}, f.Cohort...), f.Labelled...) {
		taken[pod] = true
	}
	missing := append([]string{}, f.Labelled...)
	for _, pod := range f.Candidates {
		if len(f.Cohort)+len(missing) >= want {
			break
		}
		if !taken[pod] {
			missing = append(missing, pod)
		}
	}
	return missing
}
