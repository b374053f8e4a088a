package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// The marks on every touched object while a rollout runs. Istio pushes nothing for a change of foreign annotations.
const (
	MarkRollout = "meshpol.io/rollout"
	MarkFence   = "meshpol.io/fence"
)

// writeTries is how often a write is repeated when somebody else writes the same object at the same time.
const writeTries = 8

// write sends one stage. It is idempotent: a live object that already is as wanted is left alone.
func (r *run) write(ctx context.Context, a ActWrite) error {
	stage := r.plan.Steps[a.Step].Stages[a.Stage]
	r.announce()
	ref := RefOf(stage.Object)
	before := SpecHash(r.plan.Before(a.Step, a.Stage, ref))
	want := SpecHash(stage.Object)
	if stage.Delete {
		want = ""
	}
	r.state.Written = true
	r.touch(ref, want)
	if err := r.save(ctx); err != nil {
		return err
	}
	wrote, err := r.swap(ctx, stage, before, want)
	if err != nil {
		return err
	}
	r.versions[ref] = wrote.GetResourceVersion()
	return nil
}

// swap puts the wanted object in the place of the one that must be there, and of no other.
func (r *run) swap(ctx context.Context, stage mesh.Stage, before, want string) (*unstructured.Unstructured, error) {
	ref := RefOf(stage.Object)
	for try := 1; ; try++ {
		live, err := r.Objects.Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		if other := r.foreignMark(live); other != "" {
			return nil, &MarkedError{Ref: ref, Other: other}
		}
		switch SpecHash(live) {
		case want:
			if live == nil {
				return &unstructured.Unstructured{Object: map[string]any{}}, nil
			}
			return live, nil
		case before:
		default:
			return nil, &ConflictError{Ref: ref, Err: errors.New(editedText(live))}
		}
		op, send := r.compose(stage, live)
		out, err := r.Objects.Write(ctx, op, send, false)
		var conflict *ConflictError
		if errors.As(err, &conflict) && try < writeTries {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.emit(Wrote{Head: r.head(), Object: ref, Op: op, Why: r.stepName()})
		if out == nil {
			out = &unstructured.Unstructured{Object: map[string]any{}}
		}
		return out, nil
	}
}

func editedText(live *unstructured.Unstructured) string {
	if live == nil {
		return "it was deleted"
	}
	return "its spec is neither what was there before nor what this rollout wrote" + lastManager(live)
}

// lastManager names who wrote an object last, from managedFields.
func lastManager(o *unstructured.Unstructured) string {
	var who string
	var when time.Time
	for _, f := range o.GetManagedFields() {
		if f.Time != nil && !f.Time.Time.Before(when) && f.Manager != "meshpol" {
			who, when = f.Manager, f.Time.Time
		}
	}
	if who == "" {
		return ""
	}
	return fmt.Sprintf(" (%s wrote it at %s)", who, when.UTC().Format(time.RFC3339))
}

// compose is the operation with the whole object that carries a stage out on a live object.
func (r *run) compose(stage mesh.Stage, live *unstructured.Unstructured) (Op, *unstructured.Unstructured) {
	switch {
	case stage.Delete:
		return Delete, live
	case live == nil:
		return Create, r.marked(stage.Object.DeepCopy())
	default:
		return Update, r.marked(over(live, stage.Object))
	}
}

func (r *run) markValue() string { return r.plan.Name + "/" + r.plan.Change.Rev }

func (r *run) marked(o *unstructured.Unstructured) *unstructured.Unstructured {
	a := maps.Clone(o.GetAnnotations())
	if a == nil {
		a = map[string]string{}
	}
	a[MarkRollout], a[MarkFence] = r.markValue(), strconv.FormatInt(r.state.Fence, 10)
	o.SetAnnotations(a)
	return o
}

// unmarked takes our marks off, and the annotations with them where nothing else is in it.
func unmarked(o *unstructured.Unstructured) (*unstructured.Unstructured, bool) {
	a := maps.Clone(o.GetAnnotations())
	if _, ok := a[MarkRollout]; !ok {
		return o, false
	}
	delete(a, MarkRollout)
	delete(a, MarkFence)
	out := o.DeepCopy()
	if len(a) == 0 {
		a = nil
	}
	out.SetAnnotations(a)
	return out, true
}

// foreignMark is the mark of another live rollout on an object.
func (r *run) foreignMark(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	if m := o.GetAnnotations()[MarkRollout]; m != r.markValue() {
		return m
	}
	return ""
}

// touch notes what is about to be written.
func (r *run) touch(ref Ref, spec string) {
	touched := slices.Clone(r.state.Touched)
	i := slices.IndexFunc(touched, func(t Touched) bool { return t.Ref == ref })
	if i < 0 {
		touched = append(touched, Touched{Ref: ref, Absent: slices.Contains(r.plan.Absent, ref)})
		i = len(touched) - 1
	}
	touched[i].Spec = spec
	r.state.Touched = touched
}

// prove waits until every proxy holds the stage.
func (r *run) prove(ctx context.Context, a ActProve) error {
	stage := r.plan.Steps[a.Step].Stages[a.Stage]
	proof, err := r.proveMarkers(ctx, ProofRequest{Markers: stage.Markers, Host: r.plan.Host, Written: maps.Clone(r.versions)})
	if err != nil {
		return err
	}
	r.proof = proof
	r.emit(Proved{Head: r.head(), Proof: proof, Why: stage.Object.GetKind() + " of " + r.stepName()})
	r.state.Stage++
	r.state.Written = false
	return r.save(ctx)
}

func (r *run) proveMarkers(ctx context.Context, req ProofRequest) (Proof, error) {
	var proof Proof
	err := r.keep(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, r.plan.Settings.PropagationTimeout)
		defer cancel()
		proof, err = r.Prover.Prove(ctx, req, nil)
		return err
	})
	return proof, err
}

// label puts pods into the cohort and waits until their proxies are in it.
func (r *run) label(ctx context.Context, pods []string) error {
	r.announce()
	label := r.plan.Steps[r.state.Step].Labels
	live := slices.DeleteFunc(slices.Clone(r.state.Instances), func(p string) bool { return !slices.Contains(r.facts.Candidates, p) })
	r.state.Instances = append(live, pods...)
	if err := r.save(ctx); err != nil {
		return err
	}
	for _, pod := range pods {
		ns, name := splitID(pod)
		if err := r.Pods.Label(ctx, ns, name, label.Key, label.Value); err != nil {
			return fmt.Errorf("putting pod %s into the cohort: %w", pod, err)
		}
	}
	r.emit(Labelled{Head: r.head(), Pods: pods, Added: true})
	proof, err := r.proveMarkers(ctx, ProofRequest{Markers: label.Markers, Host: r.plan.Host, Proxies: slices.Clone(r.state.Instances)})
	if err != nil {
		return err
	}
	r.proof = proof
	r.emit(Proved{Head: r.head(), Proof: proof, Why: "cohort of " + r.stepName()})
	return nil
}

func splitID(id string) (namespace, name string) {
	for i := range len(id) {
		if id[i] == '/' {
			return id[:i], id[i+1:]
		}
	}
	return "", id
}

// advance ends the step with its verdict.
func (r *run) advance(ctx context.Context, why string) error {
	j := r.facts.Judgement
	if j.Reason == "" {
		j.Reason = why
	}
	r.state.Results = append(slices.Clone(r.state.Results), StepResult{
		Name: r.stepName(), Judgement: j, Confirmed: r.proof.Confirmed, Barrier: r.proof.Took.Seconds(),
	})
	r.emit(StepPassed{Head: r.head(), Step: r.stepName(), Judgement: j})
	r.facts = Facts{}
	r.state.Step++
	r.state.Stage, r.state.Written, r.state.Holding = 0, false, false
	r.state.Phase, r.state.Request, r.state.Reason = PhaseAt(r.plan, r.state.Step), "", ""
	return r.save(ctx)
}

// pause stops at the exposure in force, and then waits for a person's word or the pause's own end.
func (r *run) pause(ctx context.Context, a ActPause) error {
	if r.state.Phase != Paused {
		r.state.Phase, r.state.Reason, r.state.PauseUntil, r.state.Request = Paused, a.Reason, a.Until, ""
		r.emit(PausedEvent{Head: r.head(), Reason: a.Reason, Exposed: r.exposed(), Next: nextStep(r.state)})
		return r.save(ctx)
	}
	wait := time.Hour
	if !a.Until.IsZero() {
		wait = max(time.Until(a.Until), 0)
	}
	return r.keep(ctx, func(ctx context.Context) error { return sleep(ctx, wait) })
}

func (r *run) resume(ctx context.Context) error {
	r.state.Phase, r.state.Reason, r.state.Request = PhaseAt(r.plan, r.state.Step), "", ""
	r.state.PauseUntil, r.state.PausePassed = time.Time{}, r.state.Step+1
	return r.save(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// exposed says what is in force now.
func (r *run) exposed() string {
	for i := min(r.state.Step, len(r.plan.Steps)-1); i >= 0; i-- {
		if i < r.state.Step || r.state.Stage > 0 || r.state.Written || r.state.Holding {
			return r.plan.Steps[i].Exposure.String()
		}
	}
	return "nothing"
}

// announce says once per step that it begins.
func (r *run) announce() {
	if r.announced > r.state.Step {
		return
	}
	r.announced = r.state.Step + 1
	step := r.plan.Steps[r.state.Step]
	r.emit(StepStarted{Head: r.head(), Index: r.state.Step, Steps: len(r.plan.Steps), Name: step.Name,
		Exposure: step.Exposure, Asked: Asked(step.Exposure, len(r.facts.Candidates))})
}

func (r *run) stepName() string {
	if r.state.Step < len(r.plan.Steps) {
		return r.plan.Steps[r.state.Step].Name
	}
	return "end"
}

func (r *run) head() Head {
	return Head{At: time.Now(), Rollout: r.plan.Name, Target: r.plan.Change.Target}
}
