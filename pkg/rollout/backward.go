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

// undoTries is how often a write of the way back is repeated when others write the same object at the same time: the
// way back may not give up for being overtaken.
const undoTries = 50

// neutralise takes the new policy out of force with the fewest writes and proves it on every proxy. After the fold
// nothing of the split is left to take out: there tidying itself is the cure.
func (r *run) neutralise(ctx context.Context) error {
	began := time.Now()
	wrote := 0
	for _, t := range r.state.Touched {
		n, err := r.neutraliseOne(ctx, t.Ref)
		if err != nil {
			return err
		}
		wrote += n
	}
	if wrote > 0 {
		proof, err := r.proveBack(ctx, r.Mesh.NeutralMarkers(r.plan.Change))
		if err != nil {
			return err
		}
		r.emit(Neutralised{Head: r.head(), Proof: proof, Took: time.Since(began)})
	}
	r.state.Undo = undoNeutralised
	return r.save(ctx)
}

func (r *run) neutraliseOne(ctx context.Context, ref Ref) (int, error) {
	for try := 1; ; try++ {
		live, err := r.Objects.Get(ctx, ref)
		if err != nil || live == nil || r.foreignMark(live) != "" {
			return 0, err
		}
		out := r.Mesh.Neutralise([]*unstructured.Unstructured{live}, r.plan.Change)
		if len(out) == 0 {
			return 0, nil
		}
		_, err = r.Objects.Write(ctx, Update, out[0], false)
		var conflict *ConflictError
		if errors.As(err, &conflict) && try < undoTries {
			continue
		}
		if err != nil {
			return 0, err
		}
		r.emit(Wrote{Head: r.head(), Object: ref, Op: Update, Why: "new policy out of force"})
		return 1, nil
	}
}

// proveBack proves a write of the way back. A proxy that does not answer is named and no reason to stop: the way back
// goes on, since standing still would leave more of the new policy in force than going on.
func (r *run) proveBack(ctx context.Context, markers []mesh.Marker) (Proof, error) {
	proof, err := r.proveMarkers(ctx, ProofRequest{Markers: markers, Host: r.plan.Host})
	var stragglers *StragglersError
	if errors.As(err, &stragglers) {
		r.emit(Warned{Head: r.head(), Text: "going back: " + err.Error()})
		return stragglers.Proof, nil
	}
	return proof, err
}

// unlabel takes every pod out of the cohort, also those labelled by a run that died before it could say so.
func (r *run) unlabel(ctx context.Context) error {
	if err := r.removeLabels(ctx); err != nil {
		return err
	}
	r.state.Undo = undoUnlabelled
	return r.save(ctx)
}

func (r *run) removeLabels(ctx context.Context) error {
	if !r.byInstance() {
		return nil
	}
	key := r.plan.Change.Target.CohortLabel()
	pods, err := r.Pods.Pods(ctx, "")
	if err != nil {
		return fmt.Errorf("listing the pods of the cohort: %w", err)
	}
	var gone []string
	for _, p := range pods {
		if p.Labels[key] != r.plan.Change.Rev {
			continue
		}
		if err := r.Pods.Label(ctx, p.Namespace, p.Name, key, ""); err != nil {
			return fmt.Errorf("taking pod %s out of the cohort: %w", p.ID(), err)
		}
		gone = append(gone, p.ID())
	}
	if len(gone) > 0 {
		r.emit(Labelled{Head: r.head(), Pods: gone})
	}
	r.state.Instances = nil
	return nil
}

func (r *run) byInstance() bool {
	return slices.ContainsFunc(r.plan.Steps, func(s PlannedStep) bool { return s.Labels != nil })
}

// tidy brings every touched object back: routes first, then what routes point to, each behind its proof.
func (r *run) tidy(ctx context.Context) error {
	began := time.Now()
	folding := r.inFold()
	var last Proof
	for _, t := range backOrder(r.state.Touched) {
		markers, err := r.tidyOne(ctx, t)
		if err != nil {
			return err
		}
		if len(markers) == 0 {
			continue
		}
		if last, err = r.proveBack(ctx, markers); err != nil {
			return err
		}
		r.emit(Proved{Head: r.head(), Proof: last, Why: t.Ref.String() + " as before"})
	}
	if folding {
		r.emit(Neutralised{Head: r.head(), Proof: last, Took: time.Since(began)})
	}
	r.state.Undo = undoTidied
	return r.save(ctx)
}

func (r *run) inFold() bool {
	s := r.state
	if s.Step >= len(r.plan.Steps) || r.plan.Steps[s.Step].Kind == metrics.StepClean {
		return true
	}
	return r.plan.Steps[s.Step].Kind == metrics.StepFold && (s.Stage > 0 || s.Written)
}

// backOrder puts what points to others before what is pointed to: the VirtualService goes before its DestinationRule.
func backOrder(touched []Touched) []Touched {
	out := slices.Clone(touched)
	slices.SortStableFunc(out, func(a, b Touched) int { return backRank(a) - backRank(b) })
	return out
}

func backRank(t Touched) int {
	if t.Kind == "DestinationRule" {
		return 1
	}
	return 0
}

// tidyOne brings one object back and returns what proves it; nothing where nothing had to be written.
func (r *run) tidyOne(ctx context.Context, t Touched) ([]mesh.Marker, error) {
	for try := 1; ; try++ {
		live, err := r.Objects.Get(ctx, t.Ref)
		if err != nil {
			return nil, err
		}
		if live == nil {
			if !t.Absent {
				r.emit(Kept{Head: r.head(), Object: t.Ref, Conflicts: []string{"somebody deleted it: it stays deleted"}})
			}
			return nil, nil
		}
		if r.foreignMark(live) != "" {
			return nil, nil
		}
		markers, err := r.tidyLive(ctx, t, live)
		var conflict *ConflictError
		if errors.As(err, &conflict) && try < undoTries {
			continue
		}
		return markers, err
	}
}

func (r *run) tidyLive(ctx context.Context, t Touched, live *unstructured.Unstructured) ([]mesh.Marker, error) {
	base := r.plan.BaseOf(t.Ref)
	undone, err := r.Mesh.Tidy(base, r.ours(t.Ref, live), live, r.plan.Change)
	if err != nil {
		return nil, fmt.Errorf("bringing %s back: %w", t.Ref, err)
	}
	if undone.Delete {
		if _, err := r.Objects.Write(ctx, Delete, live, false); err != nil {
			return nil, err
		}
		r.emit(Wrote{Head: r.head(), Object: t.Ref, Op: Delete, Why: "as before"})
		return undone.Markers, nil
	}
	want := live
	if undone.Object != nil {
		want = over(live, undone.Object)
	}
	want, marked := unmarked(want)
	changed := SpecHash(want) != SpecHash(live)
	if changed || marked {
		if _, err := r.Objects.Write(ctx, Update, want, false); err != nil {
			return nil, err
		}
		r.emit(Wrote{Head: r.head(), Object: t.Ref, Op: Update, Why: "as before"})
	}
	r.reportKept(t.Ref, undone.Conflicts)
	if err := r.giveBack(ctx, t.Ref); err != nil || !changed {
		return nil, err
	}
	return undone.Markers, nil
}

// ours is the version of an object that we wrote and that live most likely descends from.
func (r *run) ours(ref Ref, live *unstructured.Unstructured) *unstructured.Unstructured {
	stage := r.state.Stage
	if r.state.Written || r.state.Step >= len(r.plan.Steps) {
		stage++
	}
	newest := r.plan.Before(r.state.Step, stage, ref)
	previous := r.plan.Before(r.state.Step, r.state.Stage, ref)
	if previous != nil && SpecHash(previous) == SpecHash(live) {
		return previous
	}
	return newest
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

// giveBack returns the ownership of fields to whoever had it before the rollout.
func (r *run) giveBack(ctx context.Context, ref Ref) error {
	base := r.plan.BaseOf(ref)
	if base == nil {
		return nil
	}
	managed, _, err := unstructured.NestedSlice(base.Object, "metadata", "managedFields")
	if err != nil || len(managed) == 0 {
		return err
	}
	return r.Objects.GiveBack(ctx, ref, managed)
}

// release ends a rollout that went all the way, either way: marks off, ownership back, labels off, record closed.
func (r *run) release(ctx context.Context) error {
	result := "rolled-back"
	if r.state.Phase != RollingBack {
		result = "succeeded"
	}
	var final []map[string]any
	for _, t := range r.state.Touched {
		live, err := r.unmark(ctx, t.Ref)
		if err != nil {
			return err
		}
		if live != nil {
			final = append(final, live.Object)
		}
	}
	if err := r.removeLabels(ctx); err != nil {
		return err
	}
	verdict := r.state.Reason
	if n := len(r.state.Results); result == "succeeded" && n > 0 {
		verdict = r.state.Results[n-1].Judgement.Reason
	}
	if err := r.Archive.Close(ctx, r.plan.Change.Target, r.state.Revision, result, verdict, final); err != nil {
		return err
	}
	r.state.Undo = undoReleased
	return r.save(ctx)
}

// unmark takes our marks off one object and returns it as it is then; nil where it does not exist.
func (r *run) unmark(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	for try := 1; ; try++ {
		live, err := r.Objects.Get(ctx, ref)
		if err != nil || live == nil || r.foreignMark(live) != "" {
			return live, err
		}
		want, marked := unmarked(live)
		if !marked {
			return live, nil
		}
		out, err := r.Objects.Write(ctx, Update, want, false)
		var conflict *ConflictError
		if errors.As(err, &conflict) && try < undoTries {
			continue
		}
		if err != nil {
			return nil, err
		}
		return out, r.giveBack(ctx, ref)
	}
}
