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
)

// The marks on every touched object while a rollout runs. Istio pushes nothing for a change of foreign annotations.
const (
	MarkRollout = "meshpol.io/rollout"
	MarkFence   = "meshpol.io/fence"
)

func (p *Plan) mark() string { return p.Name + "/" + p.Change.Rev }

// marked is an object with our marks.
func marked(o *unstructured.Unstructured, mark string, fence int64) *unstructured.Unstructured {
	a := maps.Clone(o.GetAnnotations())
	if a == nil {
		a = map[string]string{}
	}
	a[MarkRollout], a[MarkFence] = mark, strconv.FormatInt(fence, 10)
	out := o.DeepCopy()
	out.SetAnnotations(a)
	return out
}

func (r *run) marked(o *unstructured.Unstructured) *unstructured.Unstructured {
	return marked(o, r.plan.mark(), r.state.Fence)
}

// unmarked takes our marks off, and the annotations with them where nothing else is in it.
func unmarked(o *unstructured.Unstructured) (*unstructured.Unstructured, bool) {
	a := maps.Clone(o.GetAnnotations())
	if a[MarkRollout] == "" && a[MarkFence] == "" {
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

// bears tells whether an object bears the mark of this rollout.
func (r *run) bears(o *unstructured.Unstructured) bool {
	return o != nil && o.GetAnnotations()[MarkRollout] == r.plan.mark()
}

// ownedBy tells whether a live object is one that this rollout wrote: it bears the mark, or a write of ours was proved
// on it. What stands where this rollout has deleted one is somebody else's.
func (r *run) ownedBy(t Touched, live *unstructured.Unstructured) bool {
	return r.bears(live) || (t.Ours && t.Spec != "")
}

// foreignMark is the mark of another rollout on an object.
func (r *run) foreignMark(o *unstructured.Unstructured) string {
	if o == nil || r.bears(o) {
		return ""
	}
	return o.GetAnnotations()[MarkRollout]
}

// fenceOf is the fence on an object; one that is missing or spoilt is the lowest.
func fenceOf(o *unstructured.Unstructured) int64 {
	fence, err := strconv.ParseInt(o.GetAnnotations()[MarkFence], 10, 64)
	if err != nil {
		return 0
	}
	return fence
}

// overtaken is a *LockedError where a later runner of this rollout has fenced the object: our lock is gone, whatever
// we believe.
func (r *run) overtaken(o *unstructured.Unstructured) error {
	if !r.bears(o) {
		return nil
	}
	if fenceOf(o) <= r.state.Fence {
		return nil
	}
	return &LockedError{What: r.plan.Change.Target.String(), Holder: "a later runner (" + RefOf(o).String() + " bears its fence)"}
}

// fence ends the writes of earlier runners: every touched object gets a higher fence and with it another
// resourceVersion, on which a write that is still under way fails. What another rollout holds is not touched: forward
// that takes this one back, and a way back cannot begin.
func (r *run) fence(ctx context.Context) error {
	back := r.state.Phase == RollingBack
	if (back && r.state.Undo >= undoTidied) || (!back && r.state.Step >= len(r.plan.Steps)) {
		r.fenced = true // nothing but marks will be written, each on the version that was read
		return nil
	}
	for _, t := range r.state.Touched {
		live, err := r.get(ctx, t.Ref)
		if err != nil {
			return err
		}
		if other := r.foreignMark(live); other != "" && (!back || (t.Ours && !t.Back)) {
			return &MarkedError{Ref: t.Ref, Other: other}
		}
	}
	r.state.Fence++
	if err := r.save(ctx); err != nil {
		return err
	}
	for _, t := range r.state.Touched {
		if err := r.fenceOne(ctx, t); err != nil {
			return err
		}
	}
	r.fenced = true
	return nil
}

func (r *run) fenceOne(ctx context.Context, t Touched) error {
	return r.retrying(ctx, t.Ref, func(live *unstructured.Unstructured) error {
		if live == nil || t.Back || r.foreignMark(live) != "" {
			return nil
		}
		out := r.marked(live)
		if !r.ownedBy(t, live) {
			// It may be somebody else's: the mark, which says that it is ours, is not for it.
			a := out.GetAnnotations()
			delete(a, MarkRollout)
			out.SetAnnotations(a)
		}
		_, err := r.put(ctx, Update, out, "fenced for this runner")
		return err
	})
}

// retrying reads an object and does something with it, again where somebody else writes it at the same time.
func (r *run) retrying(ctx context.Context, ref Ref, do func(live *unstructured.Unstructured) error) error {
	for try := 1; ; try++ {
		live, err := r.get(ctx, ref)
		if err != nil {
			return err
		}
		if err := r.overtaken(live); err != nil {
			return err
		}
		err = do(live)
		var conflict *ConflictError
		var final edited
		if !errors.As(err, &conflict) || errors.As(err, &final) || try == writeTries {
			return err
		}
	}
}

// editedText says how an object differs from what it should be.
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

// touched is the entry of an object; false where it was not touched.
func (r *run) touched(ref Ref) (Touched, bool) {
	i := slices.IndexFunc(r.state.Touched, func(t Touched) bool { return t.Ref == ref })
	if i < 0 {
		return Touched{}, false
	}
	return r.state.Touched[i], true
}

// note changes the entry of an object, and makes it where there is none.
func (r *run) note(ref Ref, change func(*Touched)) {
	all := slices.Clone(r.state.Touched)
	i := slices.IndexFunc(all, func(t Touched) bool { return t.Ref == ref })
	if i < 0 {
		all = append(all, Touched{Ref: ref, Absent: slices.Contains(r.plan.Absent, ref)})
		i = len(all) - 1
	}
	change(&all[i])
	r.state.Touched = all
}
