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
)

// neutralise takes the new policy out of force with the fewest writes and proves it on every proxy. After the fold
// nothing of the split is left to take out: there tidying itself is the cure.
func (r *run) neutralise(ctx context.Context) error {
	began := time.Now()
	wrote, ours := 0, 0
	for _, t := range r.state.Touched {
		n, bears, err := r.neutraliseOne(ctx, t)
		if err != nil {
			return err
		}
		wrote += n
		ours += bears
	}
	if wrote > 0 || (ours > 0 && !r.inFold()) {
		proof, err := r.proveBack(ctx, ProofRequest{Markers: r.Mesh.NeutralMarkers(r.plan.Change), Host: r.plan.Host, Written: map[Ref]string{}})
		if err != nil {
			return err
		}
		r.emit(Neutralised{Head: r.head(), Proof: proof, Took: time.Since(began)})
	}
	r.state.Undo = undoNeutralised
	return r.save(ctx)
}

// neutraliseOne tells how many objects it wrote and how many bear our mark: 0 or 1 each.
func (r *run) neutraliseOne(ctx context.Context, t Touched) (wrote, ours int, err error) {
	err = r.retrying(ctx, t.Ref, func(live *unstructured.Unstructured) error {
		wrote, ours = 0, 0
		if live == nil || r.foreignMark(live) != "" {
			return nil
		}
		if r.bears(live) {
			ours = 1
		}
		out := r.Mesh.Neutralise([]*unstructured.Unstructured{live}, r.plan.Change)
		if len(out) == 0 {
			return nil
		}
		alone := r.lineage(t, live) != nil
		stored, err := r.put(ctx, Update, out[0], "new policy out of force")
		if err != nil {
			return err
		}
		wrote = 1
		if alone {
			r.note(t.Ref, func(t *Touched) { t.Spec = SpecHash(stored) })
		}
		return nil
	})
	return wrote, ours, err
}

// proveBack proves a write of the way back. Proxies that do not answer or refuse are named and no reason to stop: the
// way back goes on, since standing still would leave more of the new policy in force than going on.
func (r *run) proveBack(ctx context.Context, req ProofRequest) (Proof, error) {
	proof, err := r.proveMarkers(ctx, req)
	var late *StragglersError
	var refused *RejectedError
	switch {
	case errors.As(err, &late):
		proof = late.Proof
	case errors.As(err, &refused):
		proof = refused.Proof
	default:
		return proof, err
	}
	r.emit(Warned{Head: r.head(), Text: "going back: " + err.Error()})
	return proof, nil
}

// tidy brings every touched object back: routes first, then what routes point to, each behind its proof.
func (r *run) tidy(ctx context.Context) error {
	began := time.Now()
	folding := r.inFold()
	var last Proof
	for _, t := range backOrder(r.state.Touched) {
		if t.Back {
			continue
		}
		markers, err := r.tidyOne(ctx, t)
		if err != nil {
			return fmt.Errorf("bringing %s back: %w", t.Ref, err)
		}
		if len(markers) > 0 {
			if last, err = r.proveBack(ctx, r.question(markers, t.Ref)); err != nil {
				return err
			}
			r.emit(Proved{Head: r.head(), Proof: last, Why: t.Ref.String() + " as before"})
		}
		r.note(t.Ref, func(t *Touched) { t.Back = true })
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	if folding {
		r.emit(Neutralised{Head: r.head(), Proof: last, Took: time.Since(began)})
	}
	r.state.Undo = undoTidied
	return r.save(ctx)
}

// inFold tells whether the split has gone into the folded policy. A plan that was not made again knows no steps; there
// the state has it.
func (r *run) inFold() bool {
	s := r.state
	if r.plan.Back {
		return s.Exposed == folded()
	}
	if s.Step >= len(r.plan.Steps) || r.plan.Steps[s.Step].Kind == metrics.StepClean {
		return true
	}
	return r.plan.Steps[s.Step].Kind == metrics.StepFold && r.begun()
}

// backOrder puts what points to others before what is pointed to: the last made goes first, and every DestinationRule
// behind the routes. What we deleted comes back before anything else, since something may point to it.
func backOrder(touched []Touched) []Touched {
	out := slices.Clone(touched)
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b Touched) int { return backRank(a) - backRank(b) })
	return out
}

func backRank(t Touched) int {
	rule := t.Kind == "DestinationRule"
	switch deleted := t.Spec == "" && !t.Absent; {
	case deleted && rule:
		return 0
	case deleted:
		return 1
	case rule:
		return 3
	}
	return 2
}

// tidyOne brings one object back and returns what proves it; nothing where there is nothing to prove.
func (r *run) tidyOne(ctx context.Context, t Touched) (markers []mesh.Marker, err error) {
	err = r.retrying(ctx, t.Ref, func(live *unstructured.Unstructured) error {
		markers = nil
		if live == nil {
			return r.restore(ctx, t)
		}
		switch other := r.foreignMark(live); {
		case other != "" && t.Ours:
			return &MarkedError{Ref: t.Ref, Other: other}
		case !r.ownedBy(t, live):
			return r.leave(ctx, t, live)
		}
		markers, err = r.tidyLive(ctx, t, live)
		return err
	})
	return markers, err
}

// leave takes the fence off an object that is not of this rollout, and says so of one that stands in the place of one
// that the rollout has deleted.
func (r *run) leave(ctx context.Context, t Touched, live *unstructured.Unstructured) error {
	if t.Spec == "" && t.Ours {
		r.emit(Kept{Head: r.head(), Object: t.Ref, Conflicts: []string{"somebody made it again: it stays as it is"}})
	}
	a := live.GetAnnotations()
	if a[MarkFence] == "" || a[MarkRollout] != "" {
		return nil
	}
	want, _ := unmarked(live)
	_, err := r.put(ctx, Update, want, "as before")
	return err
}

// restore makes an object again that this rollout has deleted. One that somebody else deleted stays deleted.
func (r *run) restore(ctx context.Context, t Touched) error {
	base := r.plan.BaseOf(t.Ref)
	switch {
	case base == nil:
		return nil
	case t.Spec != "":
		r.emit(Kept{Head: r.head(), Object: t.Ref, Conflicts: []string{"somebody deleted it: it stays deleted"}})
		return nil
	}
	again := base.DeepCopy()
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(again.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(again.Object, "status")
	if _, err := r.put(ctx, Create, again, "as before"); err != nil {
		return err
	}
	return r.giveBack(ctx, t.Ref)
}

func (r *run) tidyLive(ctx context.Context, t Touched, live *unstructured.Unstructured) ([]mesh.Marker, error) {
	undone, err := r.Mesh.Tidy(r.plan.BaseOf(t.Ref), r.ours(t, live), live, r.plan.Change)
	if err != nil {
		return nil, err
	}
	if undone.Delete {
		_, err := r.put(ctx, Delete, live, "as before")
		return undone.Markers, err
	}
	want := live
	if undone.Object != nil {
		want = over(live, undone.Object)
	}
	want, marked := unmarked(want)
	changed := SpecHash(want) != SpecHash(live)
	if changed || marked {
		if _, err := r.put(ctx, Update, want, "as before"); err != nil {
			return nil, err
		}
	}
	r.reportKept(t.Ref, undone.Conflicts)
	if err := r.giveBack(ctx, t.Ref); err != nil {
		return nil, err
	}
	if !changed && r.resumed {
		// A runner before us may have written it and died before the proof: what routes point to may only go behind it.
		return r.Mesh.NeutralMarkers(r.plan.Change), nil
	}
	return undone.Markers, nil
}

// lineage is the object of ours that a live one is, field by field, so that nobody else has changed it; nil where
// somebody has. The last write may have landed or not, and the way back may have neutralised it.
func (r *run) lineage(t Touched, live *unstructured.Unstructured) *unstructured.Unstructured {
	is := SpecHash(live)
	for _, o := range r.versionsOf(t.Ref) {
		if spec := SpecHash(o); spec == is || r.form(spec) == is {
			return o
		}
		for _, neutral := range r.Mesh.Neutralise([]*unstructured.Unstructured{o}, r.plan.Change) {
			if r.form(SpecHash(neutral)) == is {
				return o
			}
		}
	}
	if is == t.Spec {
		return live
	}
	return nil
}

// versionsOf are the last two versions of an object that this rollout may have written, the newer one first.
func (r *run) versionsOf(ref Ref) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	if stage, open := r.intended(); open && !stage.Delete && RefOf(stage.Object) == ref {
		out = append(out, stage.Object)
	}
	if o := r.plan.Before(r.state.Step, r.state.Stage, ref); o != nil {
		out = append(out, o)
	}
	return out
}

// ours is what a live object is compared with to tell our changes from those of others. Where nobody else has changed
// it, that is the live object itself, with everything that the API server put in; its metadata is what we planned, so
// that labels and annotations of others are seen.
func (r *run) ours(t Touched, live *unstructured.Unstructured) *unstructured.Unstructured {
	newest := r.versionsOf(t.Ref)
	if line := r.lineage(t, live); line != nil {
		return over(line, live)
	}
	if len(newest) == 0 {
		return nil
	}
	return newest[0]
}

func (r *run) reportKept(ref Ref, conflicts []mesh.Conflict) {
	if len(conflicts) == 0 {
		return
	}
	var texts []string
	for _, c := range conflicts {
		texts = append(texts, fmt.Sprintf("%s: before %s, ours %s, now %s: stays", c.Field, c.Base, c.Ours, c.Live))
	}
	r.emit(Kept{Head: r.head(), Object: ref, Conflicts: texts})
}
