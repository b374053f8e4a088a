package rollout

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// rehearsal is what the dry runs showed.
type rehearsal struct {
	Executor
	plan *Plan
	live map[Ref]*unstructured.Unstructured
	// forms are the hashes of specs that the API server stores otherwise than we send them.
	forms map[string]string
	count int
}

// Rehearse has the API server check every step's whole object, and the way back, without storing anything. It returns
// the number of dry runs. An object whose spec is not what the plan was made from is a *ConflictError, one that bears
// the mark of another rollout a *MarkedError.
func (x Executor) Rehearse(ctx context.Context, p *Plan) (int, error) {
	r, err := x.rehearse(ctx, p)
	return r.count, err
}

func (x Executor) rehearse(ctx context.Context, p *Plan) (*rehearsal, error) {
	r := &rehearsal{Executor: x, plan: p, live: map[Ref]*unstructured.Unstructured{}, forms: map[string]string{}}
	for i, step := range p.Steps {
		for _, stage := range step.Stages {
			if err := r.stage(ctx, stage); err != nil {
				return r, fmt.Errorf("dry run of step %q (%d of %d): %w", step.Name, i+1, len(p.Steps), err)
			}
		}
	}
	for _, base := range p.Base {
		if err := r.write(ctx, mesh.Stage{Object: base}); err != nil {
			return r, fmt.Errorf("dry run of the way back: %w", err)
		}
	}
	return r, nil
}

// stage rehearses one write. What does not exist yet cannot be deleted, not even in a dry run.
func (r *rehearsal) stage(ctx context.Context, stage mesh.Stage) error {
	if stage.Delete && r.plan.BaseOf(RefOf(stage.Object)) == nil {
		return nil
	}
	return r.write(ctx, stage)
}

// write sends a dry run on the live object, which somebody may have written since the plan was made: as long as its
// spec is the same, that is no matter.
func (r *rehearsal) write(ctx context.Context, stage mesh.Stage) error {
	ref := RefOf(stage.Object)
	for try := 1; ; try++ {
		live, err := r.look(ctx, ref)
		if err != nil {
			return err
		}
		err = r.send(ctx, stage, live)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || try == writeTries {
			return err
		}
		delete(r.live, ref)
	}
}

func (r *rehearsal) look(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	if live, ok := r.live[ref]; ok {
		return live, nil
	}
	live, err := r.Objects.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if other := markOf(live); other != "" {
		return nil, &MarkedError{Ref: ref, Other: other}
	}
	if SpecHash(live) != SpecHash(r.plan.BaseOf(ref)) {
		return nil, fmt.Errorf("%s is not what the plan was made from: %s; make the plan again", ref, editedText(live))
	}
	r.live[ref] = live
	return live, nil
}

func markOf(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	return o.GetAnnotations()[MarkRollout]
}

func (r *rehearsal) send(ctx context.Context, stage mesh.Stage, live *unstructured.Unstructured) error {
	var op Op
	var send *unstructured.Unstructured
	switch {
	case stage.Delete:
		op, send = Delete, live
	case live == nil:
		op, send = Create, marked(stage.Object, r.plan.mark(), 1)
	default:
		op, send = Update, marked(over(live, stage.Object), r.plan.mark(), 1)
	}
	out, err := r.Objects.Write(ctx, op, send, true)
	if err != nil {
		return err
	}
	r.count++
	if sent, stored := SpecHash(send), SpecHash(out); op != Delete && out != nil && sent != stored {
		r.forms[sent] = stored
	}
	return nil
}
