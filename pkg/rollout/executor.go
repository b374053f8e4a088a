package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Mesh is the part of a mesh that a run needs.
type Mesh interface {
	Compiler
	Neutralise(live []*unstructured.Unstructured, c policy.Change) []*unstructured.Unstructured
	NeutralMarkers(c policy.Change) []mesh.Marker
	Tidy(base, ours, live *unstructured.Unstructured, c policy.Change) (mesh.Undone, error)
	Query(s *policy.Snapshot, c policy.Change, e policy.Exposure, instances map[string]metrics.Side) (metrics.Query, error)
}

// Executor carries a plan out through its ports. One Executor runs one target.
type Executor struct {
	Objects Objects
	Pods    Pods
	Prover  Prover
	Store   Store
	Archive Archive
	// Meter may be nil where the plan's settings say NoAnalysis.
	Meter metrics.Provider
	// Asker answers the user's own checks; nil where there are none.
	Asker metrics.Asker
	Judge metrics.Judge
	// Proxies are read every second for the tripwire; nil: breakage is left to the judge. Tripwire are its numbers; the
	// error rate of the old policy comes from step 0.
	Proxies  metrics.Provider
	Tripwire metrics.TripwireConfig
	Mesh     Mesh
	Sink     Sink
	// Snapshot is what the plan was made from.
	Snapshot *policy.Snapshot
	// Attended tells that a person can answer a pause; OnSignal is rollback or pause.
	Attended bool
	OnSignal string
	// Interrupt is closed when a signal asks the run to end.
	Interrupt <-chan struct{}
	// Requests are the requests sent to the cluster so far, by verb and resource; nil where nobody counts them.
	Requests func() map[string]int
}

// Result is how a run ended.
type Result struct {
	Phase  Phase
	Cause  Cause
	Reason string
	State  State
}

// run is one execution: the executor's values and what changes while it lasts.
type run struct {
	Executor
	plan  *Plan
	state State
	facts Facts
	// unsaved tells that the state has something that must be stored before the next act.
	unsaved bool
	// resumed tells that others may have written before us; fenced that none of their writes can land any more.
	resumed, fenced bool
	// renewed is when the last save that went through was sent.
	renewed time.Time
	// versions are the resourceVersions we wrote; proof is the last one, for the step's result.
	versions map[Ref]string
	proof    Proof
	// counters are refilled from the source after a restart; counting tells that they were made.
	counters metrics.Counters
	counting bool
	// proved are labelled pods that were proved to be in the cohort; halves are the sides of pods in step 0.
	proved map[string]bool
	halves map[string]metrics.Side
	// announced is the step after the last one whose beginning was told.
	announced int
	// counted are the requests that were sent before the step began.
	counted int
	// watching is the tripwire at work; busy are the pods that sent most in the last judged interval, the busiest first;
	// blindTold says that it was told that the proxies cannot be read.
	watching  *watch
	busy      []string
	blindTold bool
	// failing is since when acts have been failing in a row, tries how often they did.
	failing time.Time
	tries   int
}

// Run goes on from a state until the rollout has ended or waits for a person. The Lease is held by the caller's
// Acquire. ctx is for giving up altogether; signals come through Interrupt, so that the way back has time.
func (x Executor) Run(ctx context.Context, p *Plan, s State) (Result, error) {
	r := &run{Executor: x, plan: p, state: s, versions: map[Ref]string{}, proved: map[string]bool{}, halves: map[string]metrics.Side{}}
	r.resumed = s.Step > 0 || s.Holding || len(s.Touched) > 0 || s.Phase == RollingBack || s.Phase == Failed
	r.counted = total(r.requests())
	r.state.Written = false // a write whose proof is open is sent again: it is idempotent
	if s.Phase == Failed {
		r.state.Phase = RollingBack // somebody asks for another try
	}
	r.begin()
	defer r.unwatch()
	for {
		act, err := r.step(ctx)
		if _, ended := act.(ActEnd); ended && err == nil {
			return r.result(), nil
		}
		if err == nil {
			r.failing, r.tries = time.Time{}, 0
			continue
		}
		if err := r.absorb(ctx, err); err != nil {
			return r.giveUp(ctx, err)
		}
	}
}

// begin tells what this run starts with; one that goes back from the start has no steps before it.
func (r *run) begin() {
	started := Started{Head: r.head(), Digest: r.plan.Digest, Steps: max(r.state.Steps, len(r.plan.Steps)), Resumed: r.resumed}
	if r.state.Phase == RollingBack {
		r.emit(started)
		r.emit(TakingBack{Head: r.head(), Cause: r.state.Cause, Reason: r.state.Reason})
		return
	}
	started.Notes = append(slices.Clone(r.plan.Notes), foldNotes(r.plan)...)
	r.emit(started)
	if r.resumed && r.state.Holding && r.state.Step < len(r.plan.Steps) {
		r.announce()
	}
}

func foldNotes(p *Plan) []string {
	var out []string
	for _, a := range p.AtFold {
		out = append(out, "only at the fold: "+a)
	}
	return out
}

// step observes, decides and carries one act out.
func (r *run) step(ctx context.Context) (Action, error) {
	if r.resumed && !r.fenced {
		if err := r.fence(ctx); err != nil {
			return nil, err
		}
	}
	if r.unsaved {
		if err := r.save(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.observe(ctx); err != nil {
		return nil, err
	}
	act := Next(r.plan, r.state, r.facts, time.Now())
	if _, watched := act.(ActMeasure); !watched {
		r.unwatch()
	}
	return act, r.do(ctx, act)
}

// observe gathers the facts that Next decides from.
func (r *run) observe(ctx context.Context) error {
	r.heed()
	r.facts.Request = r.state.Request
	r.facts.Attended, r.facts.OnSignal = r.Attended, r.OnSignal
	r.facts.Interrupted = r.facts.Interrupted || r.interrupted()
	r.lookAtTrip()
	err := r.lookAtPods(ctx)
	r.lookAtTrip() // a slow API server must not let a step pass that has tripped meanwhile
	return err
}

// heed drops a request that means nothing here; the next save takes it off the Lease.
func (r *run) heed() {
	request := r.state.Request
	if request == "" || heeds(r.plan, r.state, request) || waits(r.plan, r.state, request) {
		return
	}
	r.state.Request = ""
	if r.state.Phase != RollingBack {
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("the request to %s has no meaning while the rollout is %s: ignored", request, r.state.Phase)})
	}
}

func (r *run) interrupted() bool {
	select {
	case <-r.Interrupt:
		return true
	default:
		return false
	}
}

// do carries out one act, with the intent saved before it and the outcome after it.
func (r *run) do(ctx context.Context, act Action) error {
	switch a := act.(type) {
	case ActWrite:
		return r.write(ctx, a)
	case ActProve:
		return r.prove(ctx, a)
	case ActLabel:
		return r.label(ctx, a.Pods)
	case ActHold:
		return r.hold(ctx)
	case ActMeasure:
		return r.measure(ctx, a.At)
	case ActAdvance:
		return r.advance(ctx, a.Why)
	case ActPause:
		return r.pause(ctx, a)
	case ActResume:
		return r.resume(ctx)
	case ActTakeBack:
		r.takeBack(a.Cause, a.Reason)
		return nil
	}
	return r.doLast(ctx, act)
}

// doLast carries out the acts of the way back and of the end.
func (r *run) doLast(ctx context.Context, act Action) error {
	switch a := act.(type) {
	case ActNeutralise:
		return r.neutralise(ctx)
	case ActUnlabel:
		return r.unlabel(ctx)
	case ActTidy:
		return r.tidy(ctx)
	case ActRelease:
		return r.release(ctx)
	case ActEnd:
		return r.end(ctx, a)
	}
	return fmt.Errorf("carrying out rollout %s: no way to do %T", r.plan.Name, act)
}

// takeBack begins the way back; the next step saves it before anything is written.
func (r *run) takeBack(cause Cause, reason string) {
	r.state.Phase, r.state.Undo = RollingBack, undoNothing
	r.decided(reason)
	r.state.Cause, r.state.Reason = cause, reason
	r.state.Request, r.state.PauseUntil = "", time.Time{}
	r.unsaved = true
	r.emit(TakingBack{Head: r.head(), Cause: cause, Reason: reason})
}

// decided keeps what the decision rests on. What a pause was for stays when a person ends it by taking everything back.
func (r *run) decided(reason string) {
	j := r.facts.Judgement
	if r.facts.Trip.Tripped {
		j = metrics.Judgement{Verdict: metrics.Fail, Reason: reason}
	}
	if j.Verdict == "" || r.state.Step >= len(r.plan.Steps) {
		return
	}
	j.Reason = firstRunes(j.Reason, maxReason)
	r.state.Decided = &StepResult{Name: r.stepName(), Judgement: j.Brief(), Confirmed: r.proof.Confirmed, Barrier: r.proof.Took.Seconds()}
}

func (r *run) emit(e Event) { r.Sink.Emit(e) }

func (r *run) result() Result {
	return Result{Phase: r.state.Phase, Cause: r.state.Cause, Reason: r.state.Reason, State: r.state}
}

// end stores the phase and gives the lock up. A Lease that cannot be given up is free by itself soon.
func (r *run) end(ctx context.Context, a ActEnd) error {
	r.state.Phase, r.state.Request = a.Phase, ""
	if err := r.save(ctx); err != nil {
		return err
	}
	r.letGo(ctx)
	r.emit(r.ended(a.Phase))
	return nil
}

func (r *run) ended(phase Phase) Ended {
	return Ended{Head: r.head(), Phase: phase, Cause: r.state.Cause, Reason: r.state.Reason, Took: time.Since(r.state.Started),
		Next: nextStep(r.state), Requests: r.requests()}
}

// requests are those sent so far, by verb and resource; nil where nobody counts them.
func (r *run) requests() map[string]int {
	if r.Requests == nil {
		return nil
	}
	return r.Requests()
}

func total(requests map[string]int) int {
	n := 0
	for _, count := range requests {
		n += count
	}
	return n
}

func nextStep(s State) string {
	name := s.Name + " -n " + s.Target.Namespace
	switch s.Phase {
	case Paused:
		if s.Cause == CauseBreach {
			return fmt.Sprintf("meshpol rollout abort %s takes it back; meshpol rollout resume %s goes on and judges anew", name, name)
		}
		return fmt.Sprintf("meshpol rollout resume %s, or meshpol rollout abort %s", name, name)
	case Succeeded:
		return fmt.Sprintf("meshpol rollback %s brings the old policy back", name)
	case Failed:
		return fmt.Sprintf("meshpol rollback %s tries again", name)
	}
	return ""
}

func (r *run) head() Head {
	return Head{At: time.Now(), Rollout: r.plan.Name, Target: r.plan.Change.Target}
}

func (r *run) stepName() string {
	if r.state.Step < len(r.plan.Steps) {
		return r.plan.Steps[r.state.Step].Name
	}
	return "end"
}

// errRequested ends an act early because something has to be decided at once.
var errRequested = errors.New("a person, a signal or the tripwire asks for something")
