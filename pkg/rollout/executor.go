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

// renewEvery is how often the lock is renewed during an act: well within the Lease's 30 s.
const renewEvery = 5 * time.Second

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
	Judge metrics.Judge
	Mesh  Mesh
	Sink  Sink
	// Snapshot is what the plan was made from.
	Snapshot *policy.Snapshot
	// Attended tells that a person can answer a pause; OnSignal is rollback or pause.
	Attended bool
	OnSignal string
	// Interrupt is closed when a signal asks the run to end.
	Interrupt <-chan struct{}
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
	plan     *Plan
	state    State
	counters metrics.Counters
	facts    Facts
	counting bool
	// proof is the last one, for the step's result; versions are the resourceVersions we wrote.
	proof    Proof
	versions map[Ref]string
	// announced is the step after the last one whose beginning was told; failures counts errors in a row.
	announced, failures int
}

// A cluster that does not answer is asked again for two minutes, longer than a restart of an API server takes.
const (
	maxFailures = 60
	retryAfter  = 2 * time.Second
)

// errRequested ends an act early because a person or a signal asks for something.
var errRequested = errors.New("a person or a signal asks for something")

// Rehearse has the API server check every step's whole object, and the way back, without storing anything. It returns
// the number of dry runs.
func (x Executor) Rehearse(ctx context.Context, p *Plan) (int, error) {
	count := 0
	for i, step := range p.Steps {
		for _, stage := range step.Stages {
			if stage.Delete {
				continue
			}
			if err := x.rehearseOne(ctx, p, stage.Object); err != nil {
				return count, fmt.Errorf("dry run of step %q (%d of %d): %w", step.Name, i+1, len(p.Steps), err)
			}
			count++
		}
	}
	for _, base := range p.Base {
		if err := x.rehearseOne(ctx, p, base); err != nil {
			return count, fmt.Errorf("dry run of the way back: %w", err)
		}
		count++
	}
	return count, nil
}

func (x Executor) rehearseOne(ctx context.Context, p *Plan, obj *unstructured.Unstructured) error {
	op, send := Create, obj
	if base := p.BaseOf(RefOf(obj)); base != nil {
		op, send = Update, over(base, obj)
	}
	_, err := x.Objects.Write(ctx, op, send, true)
	return err
}

// over is the wanted object on top of a live one: everything of the wanted object but its metadata, which stays the
// live object's own.
func over(live, want *unstructured.Unstructured) *unstructured.Unstructured {
	out := live.DeepCopy()
	for k := range out.Object {
		if k != "metadata" && k != "status" && k != "apiVersion" && k != "kind" {
			delete(out.Object, k)
		}
	}
	for k, v := range want.DeepCopy().Object {
		if k != "metadata" && k != "status" && k != "apiVersion" && k != "kind" {
			out.Object[k] = v
		}
	}
	return out
}

// Run goes on from a state until the rollout has ended or waits for a person. The Lease is held by the caller's
// Acquire. ctx is for giving up altogether; signals come through Interrupt, so that the way back has time.
func (x Executor) Run(ctx context.Context, p *Plan, s State) (Result, error) {
	r := &run{Executor: x, plan: p, state: s, versions: map[Ref]string{}}
	resumed := s.Step > 0 || s.Written
	r.state.Written = false // a write whose proof is open is sent again: it is idempotent
	r.emit(Started{Head: r.head(), Digest: p.Digest, Steps: len(p.Steps), Resumed: resumed, Notes: append(slices.Clone(p.Notes), foldNotes(p)...)})
	for {
		act, err := r.step(ctx)
		if end, ok := act.(ActEnd); ok && err == nil {
			return r.end(ctx, end)
		}
		if err == nil {
			r.failures = 0
			continue
		}
		if err := r.absorb(ctx, err); err != nil {
			return r.result(), err
		}
	}
}

// step observes, decides and carries one act out.
func (r *run) step(ctx context.Context) (Action, error) {
	if err := r.observe(ctx); err != nil {
		return nil, err
	}
	act := Next(r.plan, r.state, r.facts, time.Now())
	if _, ok := act.(ActEnd); ok {
		return act, nil
	}
	return act, r.do(ctx, act)
}

func foldNotes(p *Plan) []string {
	var out []string
	for _, a := range p.AtFold {
		out = append(out, "only at the fold: "+a)
	}
	return out
}

// observe gathers the facts that Next decides from.
func (r *run) observe(ctx context.Context) error {
	r.facts.Request = r.state.Request
	r.facts.Attended, r.facts.OnSignal = r.Attended, r.OnSignal
	select {
	case <-r.Interrupt:
		r.facts.Interrupted = true
	default:
	}
	if r.state.Step >= len(r.plan.Steps) || r.plan.Steps[r.state.Step].Labels == nil || r.state.Phase == RollingBack {
		return nil
	}
	pods, err := r.Pods.Pods(ctx, "")
	if err != nil {
		return fmt.Errorf("listing the client pods of %s: %w", r.plan.Change.Target, err)
	}
	r.facts.Candidates = candidates(pods, r.state.Callers)
	return nil
}

// absorb turns an act's error into the way back where it is one, and waits a little where the cluster may come back;
// what is left ends the run, with everything that is needed to resume it in the Lease.
func (r *run) absorb(ctx context.Context, err error) error {
	if errors.Is(err, errRequested) {
		return nil
	}
	if cause := causeOf(err); cause != "" && r.state.Phase != RollingBack {
		r.takeBack(cause, err.Error())
		return nil
	}
	var locked *LockedError
	r.failures++
	if r.failures > maxFailures || ctx.Err() != nil || errors.As(err, &locked) {
		return err
	}
	r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("%v; trying again (%d of %d)", err, r.failures, maxFailures)})
	return sleep(ctx, retryAfter)
}

// causeOf is why an act's error takes a rollout back; empty where it does not.
func causeOf(err error) Cause {
	var stragglers *StragglersError
	var rejected *RejectedError
	var conflict *ConflictError
	var refused *RefusedError
	var marked *MarkedError
	switch {
	case errors.As(err, &marked):
		return CauseLocked
	case errors.As(err, &stragglers):
		return CauseTimeout
	case errors.As(err, &rejected):
		return CauseBreach
	case errors.As(err, &conflict):
		return CauseEdited
	case errors.As(err, &refused):
		return CauseInternal
	}
	return ""
}

func (r *run) takeBack(cause Cause, reason string) {
	r.state.Phase, r.state.Undo = RollingBack, undoNothing
	r.state.Cause, r.state.Reason = cause, reason
	r.state.Request = ""
	r.emit(TakingBack{Head: r.head(), Cause: cause, Reason: reason})
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
		return r.save(ctx)
	case ActNeutralise:
		return r.neutralise(ctx)
	case ActUnlabel:
		return r.unlabel(ctx)
	case ActTidy:
		return r.tidy(ctx)
	case ActRelease:
		return r.release(ctx)
	}
	return fmt.Errorf("carrying out rollout %s: no way to do %T", r.plan.Name, act)
}

// save stores the state and takes a person's request from the Lease into it.
func (r *run) save(ctx context.Context) error {
	r.state.Updated = time.Now()
	stored, err := r.Store.Save(ctx, r.state)
	if err != nil {
		return err
	}
	r.state.Request = stored.Request
	return nil
}

// keep runs an act and renews the lock meanwhile. A signal or a person's request ends the act early with errRequested;
// a lost lock ends it with the *LockedError, after which nothing may be written.
func (r *run) keep(ctx context.Context, act func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- act(ctx) }()
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	interrupt := r.Interrupt
	if r.facts.Interrupted || r.state.Phase == RollingBack {
		interrupt = nil
	}
	for {
		select {
		case err := <-done:
			if cause := context.Cause(ctx); cause != nil && err != nil {
				return cause
			}
			return err
		case <-interrupt:
			interrupt = nil
			cancel(errRequested)
		case <-tick.C:
			if err := r.save(ctx); err != nil {
				cancel(err)
			} else if r.state.Request != "" && r.state.Phase != RollingBack {
				cancel(errRequested)
			}
		}
	}
}

func (r *run) emit(e Event) { r.Sink.Emit(e) }

func (r *run) result() Result {
	return Result{Phase: r.state.Phase, Cause: r.state.Cause, Reason: r.state.Reason, State: r.state}
}

func (r *run) end(ctx context.Context, a ActEnd) (Result, error) {
	r.state.Phase = a.Phase
	if err := r.save(ctx); err != nil {
		return r.result(), err
	}
	if err := r.Store.Release(ctx, r.plan.Change.Target); err != nil {
		return r.result(), err
	}
	r.emit(Ended{Head: r.head(), Phase: a.Phase, Cause: r.state.Cause, Reason: r.state.Reason, Took: time.Since(r.state.Started), Next: nextStep(r.state)})
	return r.result(), nil
}

func nextStep(s State) string {
	switch s.Phase {
	case Paused:
		return fmt.Sprintf("meshpol rollout resume %s, or meshpol rollback %s", s.Name, s.Name)
	case Succeeded:
		return fmt.Sprintf("meshpol rollback %s brings the old policy back", s.Name)
	}
	return ""
}
