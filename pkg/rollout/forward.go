package rollout

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// writeTries is how often a write is repeated at once when somebody else writes the same object at the same time.
const writeTries = 50

// form is the hash that the API server's version of a spec has.
func (r *run) form(spec string) string {
	if stored, ok := r.state.Forms[spec]; ok {
		return stored
	}
	return spec
}

// wanted is the hash that an object has once a stage is written.
func (r *run) wanted(stage mesh.Stage) string {
	if stage.Delete {
		return ""
	}
	return r.form(SpecHash(stage.Object))
}

// write sends one stage. It is idempotent: a live object that already is as wanted is left alone.
func (r *run) write(ctx context.Context, a ActWrite) error {
	stage := r.plan.Steps[a.Step].Stages[a.Stage]
	r.announce()
	ref := RefOf(stage.Object)
	before := SpecHash(r.plan.Before(a.Step, a.Stage, ref))
	r.note(ref, func(t *Touched) { t.Spec = r.wanted(stage) })
	if err := r.save(ctx); err != nil {
		return err
	}
	err := r.retrying(ctx, ref, func(live *unstructured.Unstructured) error {
		return r.swap(ctx, stage, live, before)
	})
	r.state.Written = err == nil
	return err
}

// intended is the stage whose write was begun, whether it landed or not, and whose proof is open.
func (r *run) intended() (mesh.Stage, bool) {
	if r.state.Step >= len(r.plan.Steps) || r.state.Stage >= len(r.plan.Steps[r.state.Step].Stages) {
		return mesh.Stage{}, false
	}
	stage := r.plan.Steps[r.state.Step].Stages[r.state.Stage]
	t, ok := r.touched(RefOf(stage.Object))
	return stage, ok && t.Spec == r.wanted(stage)
}

// swap puts the wanted object in the place of the one that must be there, and of no other.
func (r *run) swap(ctx context.Context, stage mesh.Stage, live *unstructured.Unstructured, before string) error {
	ref, want, is := RefOf(stage.Object), r.wanted(stage), SpecHash(live)
	if other := r.foreignMark(live); other != "" {
		return &MarkedError{Ref: ref, Other: other}
	}
	t, _ := r.touched(ref)
	switch {
	case is == want && (live == nil || r.bears(live)):
		r.versions[ref] = versionOf(live)
		return nil
	case is == want && t.Ours, is == before, is == r.form(before):
	default:
		return &ConflictError{Ref: ref, Err: edited(editedText(live))}
	}
	switch {
	case stage.Delete:
		_, err := r.put(ctx, Delete, live, r.stepName())
		return err
	case live == nil:
		_, err := r.put(ctx, Create, r.marked(stage.Object), r.stepName())
		return err
	}
	_, err := r.put(ctx, Update, r.marked(over(live, stage.Object)), r.stepName())
	return err
}

// edited is a conflict that no second try can solve: the object is not what it must be.
type edited string

func (e edited) Error() string { return string(e) }

func versionOf(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	return o.GetResourceVersion()
}

// over is the wanted object on top of a live one: everything of the wanted object but its metadata, which stays the
// live object's own.
func over(live, want *unstructured.Unstructured) *unstructured.Unstructured {
	out := live.DeepCopy()
	for k := range out.Object {
		if own(k) {
			delete(out.Object, k)
		}
	}
	for k, v := range want.DeepCopy().Object {
		if own(k) {
			out.Object[k] = v
		}
	}
	return out
}

// own tells whether a field of an object is one that a rollout writes.
func own(field string) bool {
	return field != "metadata" && field != "status" && field != "apiVersion" && field != "kind"
}

// prove waits until every proxy holds the stage.
func (r *run) prove(ctx context.Context, a ActProve) error {
	stage := r.plan.Steps[a.Step].Stages[a.Stage]
	ref := RefOf(stage.Object)
	proof, err := r.proveMarkers(ctx, r.question(stage.Markers, ref))
	if err != nil {
		return err
	}
	r.proof = proof
	r.emit(Proved{Head: r.head(), Proof: proof, Why: stage.Object.GetKind() + " of " + r.stepName()})
	r.note(ref, func(t *Touched) { t.Ours = true })
	r.state.Stage++
	r.state.Written = false
	return r.save(ctx)
}

// question asks whether the proxies hold what was written of one object.
func (r *run) question(markers []mesh.Marker, ref Ref) ProofRequest {
	req := ProofRequest{Markers: markers, Host: r.plan.Host, Written: map[Ref]string{}}
	if v, ok := r.versions[ref]; ok {
		req.Written[ref] = v
	}
	return req
}

func (r *run) proveMarkers(ctx context.Context, req ProofRequest) (Proof, error) {
	var proof Proof
	limit := r.plan.Settings.propagation()
	err := r.keep(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		proof, err = r.Prover.Prove(ctx, req, nil)
		return err
	})
	return proof, err
}

// advance ends the step with its verdict. Where something else than a Pass ends it, the reason says so.
func (r *run) advance(ctx context.Context, why string) error {
	j := r.facts.Judgement
	if j.Verdict != metrics.Pass {
		j.Reason = why
	}
	r.noteBase(j)
	sent := total(r.requests())
	r.emit(StepPassed{Head: r.head(), Step: r.stepName(), Judgement: j, Requests: sent - r.counted})
	r.counted = sent
	j.Reason = firstRunes(j.Reason, maxReason)
	r.state.Results = append(slices.Clone(r.state.Results), StepResult{
		Name: r.stepName(), Judgement: j.Brief(), Confirmed: r.proof.Confirmed, Barrier: r.proof.Took.Seconds(),
	})
	r.facts, r.proof = Facts{}, Proof{}
	r.state.Step++
	r.state.Stage, r.state.Written, r.state.Holding = 0, false, false
	r.goOn()
	return r.save(ctx)
}

// goOn leaves a pause, or a step, behind.
func (r *run) goOn() {
	r.state.Phase = PhaseAt(r.plan, r.state.Step)
	r.state.Cause, r.state.Reason, r.state.Request, r.state.PauseUntil, r.state.Decided = "", "", "", time.Time{}, nil
}

// pause stops at the exposure in force, and then waits for a person's word or the pause's own end.
func (r *run) pause(ctx context.Context, a ActPause) error {
	if r.state.Phase != Paused {
		r.decided(a.Reason)
		r.state.Phase, r.state.Cause, r.state.Reason = Paused, a.Cause, a.Reason
		r.state.PauseUntil, r.state.Request = a.Until, ""
		if r.facts.Trip.Tripped {
			r.state.Trip = metrics.TripState{} // a person looks: whoever goes on does so with a new score
		}
		r.emit(PausedEvent{Head: r.head(), Reason: a.Reason, Exposed: r.exposed(), Next: nextStep(r.state)})
		return r.save(ctx)
	}
	wait := time.Hour
	for _, end := range []time.Time{a.Until, r.state.Deadline} {
		if !end.IsZero() {
			wait = min(wait, max(time.Until(end), 0)+time.Millisecond)
		}
	}
	return r.keep(ctx, func(ctx context.Context) error { return sleep(ctx, wait) })
}

// resume goes on at the same step. The time of the pause is not part of the step: what was counted meanwhile is not
// judged, and the score goes on where it was; where harm was what paused it, a person has looked and the judge begins anew.
// Where waiting had come to its end, a person grants the time once more.
func (r *run) resume(ctx context.Context) error {
	if now := time.Now(); r.state.Holding {
		spent := r.state.Tick.Sub(r.state.Since)
		if r.state.Cause == CauseInconclusive {
			spent = 0
		}
		r.state.Since, r.state.Tick, r.state.Seen = now.Add(-spent), now, now
		if r.state.Cause == CauseBreach {
			r.state.Resumes++
		}
	}
	r.facts.Judgement = metrics.Judgement{}
	why := "the pause is over"
	if r.facts.Request != "" {
		why = "resumed by a person"
	}
	r.goOn()
	r.state.PausePassed = r.state.Step + 1
	if err := r.save(ctx); err != nil {
		return err
	}
	r.emit(Resumed{Head: r.head(), Reason: why})
	return nil
}

// begun tells whether anything of the step was written, or is about to be.
func (r *run) begun() bool {
	_, open := r.intended()
	return open || r.state.Stage > 0
}

// inForce is what the state says of the exposure. On the way back it is what was in force last, until it is out.
func (r *run) inForce() string {
	switch {
	case r.state.Phase.Ended(), r.state.Undo >= undoTidied, r.state.Undo >= undoNeutralised && !r.inFold():
		return ""
	case r.state.Phase == RollingBack, r.state.Phase == Failed, r.plan.Back:
		return r.state.Exposed
	}
	return r.exposed()
}

// exposed says what is in force now.
func (r *run) exposed() string {
	for i := min(r.state.Step, len(r.plan.Steps)-1); i >= 0; i-- {
		if i < r.state.Step || r.begun() || r.state.Holding {
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
	r.emit(StepStarted{Head: r.head(), Index: r.state.Step, Steps: len(r.plan.Steps), Name: step.Name, Again: r.state.Holding,
		Exposure: step.Exposure, Reach: Reach(step.Exposure, len(r.facts.Candidates)), Asked: Asked(step.Exposure, len(r.facts.Candidates))})
}
