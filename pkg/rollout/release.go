package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The results that a record is closed with.
const (
	resultRunning    = "running"
	resultSucceeded  = "succeeded"
	resultRolledBack = "rolled-back"
)

// release ends a rollout that went all the way, either way: marks off, ownership back, labels off, record closed.
func (r *run) release(ctx context.Context) error {
	var final []map[string]any
	for _, t := range r.state.Touched {
		live, err := r.unmark(ctx, t)
		if err != nil {
			return fmt.Errorf("letting %s go: %w", t.Ref, err)
		}
		if live != nil {
			final = append(final, live.Object)
		}
	}
	if err := r.removeLabels(ctx); err != nil {
		return err
	}
	result, verdict := resultRolledBack, r.state.Reason
	if r.state.Phase != RollingBack {
		result, verdict = resultSucceeded, r.lastVerdict()
	}
	switch err := r.Archive.Close(ctx, r.plan.Change.Target, r.state.Revision, result, verdict, final); {
	case errors.Is(err, ErrNoRecord):
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("somebody has deleted the record of this rollout (revision %d): it cannot be taken back later", r.state.Revision)})
	case err != nil:
		return fmt.Errorf("closing the record of rollout %s: %w", r.plan.Name, err)
	}
	r.state.Undo = undoReleased
	return r.save(ctx)
}

// lastVerdict is the reason of the last step that was judged.
func (r *run) lastVerdict() string {
	for _, res := range slices.Backward(r.state.Results) {
		if res.Judgement.Verdict != "" {
			return res.Judgement.Reason
		}
	}
	if n := len(r.state.Results); n > 0 {
		return r.state.Results[n-1].Judgement.Reason
	}
	return ""
}

// unmark takes our marks off one object and returns it as it is then; nil where it does not exist.
func (r *run) unmark(ctx context.Context, t Touched) (out *unstructured.Unstructured, err error) {
	err = r.retrying(ctx, t.Ref, func(live *unstructured.Unstructured) error {
		out = live
		if live == nil || r.foreignMark(live) != "" {
			return nil
		}
		if r.state.Phase == RollingBack && t.Absent && r.bears(live) {
			// A create that landed late, after we had looked: it goes.
			out = nil
			_, err := r.put(ctx, Delete, live, "as before")
			return err
		}
		want, marked := unmarked(live)
		if marked {
			if out, err = r.put(ctx, Update, want, "let go"); err != nil {
				return err
			}
		}
		if !marked && t.Back {
			return nil // tidying gave the fields back already
		}
		return r.giveBack(ctx, t.Ref)
	})
	return out, err
}

// giveBack returns the ownership of fields to whoever had it before the rollout. It is repeated as often as asked.
func (r *run) giveBack(ctx context.Context, ref Ref) error {
	base := r.plan.BaseOf(ref)
	if base == nil {
		return nil
	}
	managed, _, err := unstructured.NestedSlice(base.Object, "metadata", "managedFields")
	if err != nil || len(managed) == 0 {
		return err
	}
	if err := r.stillOurs(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Objects.GiveBack(ctx, ref, managed)
}
