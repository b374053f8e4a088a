package rollout

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Begin opens a rollout of a plan that bears its rev: it takes the Lease, rehearses every write, keeps the record and
// stores the first state. Nothing of the mesh is written. An unfinished rollout of the target is an *UnfinishedError,
// a live runner a *LockedError.
func (x Executor) Begin(ctx context.Context, p *Plan, holder string, started time.Time) (State, error) {
	before, err := x.Store.Acquire(ctx, p.Change.Target, holder, "")
	if err != nil {
		return State{}, err
	}
	s, err := x.open(ctx, p, before, started)
	if err != nil {
		if free := x.Store.Release(ctx, p.Change.Target); free != nil {
			return State{}, fmt.Errorf("%w (and giving the Lease back: %v)", err, free)
		}
		return State{}, err
	}
	return s, nil
}

func (x Executor) open(ctx context.Context, p *Plan, before State, started time.Time) (State, error) {
	if !before.Phase.Ended() {
		return State{}, &UnfinishedError{State: before}
	}
	for _, o := range p.Base {
		if other := o.GetAnnotations()[MarkRollout]; other != "" {
			return State{}, &MarkedError{Ref: RefOf(o), Other: other}
		}
	}
	rehearsal := time.Now()
	writes, err := x.Rehearse(ctx, p)
	if err != nil {
		return State{}, err
	}
	head := Head{At: time.Now(), Rollout: p.Name, Target: p.Change.Target}
	x.Sink.Emit(Rehearsed{Head: head, Writes: writes, Took: time.Since(rehearsal)})
	s := firstState(p, before, started)
	if s.Revision, err = x.Archive.Put(ctx, p.Change.Target, p.record(started)); err != nil {
		return State{}, err
	}
	return x.Store.Save(ctx, s)
}

func firstState(p *Plan, before State, started time.Time) State {
	s := State{
		Version: StateVersion, Name: p.Name, Target: p.Change.Target, Strategy: p.Strategy, Rev: p.Change.Rev, Digest: p.Digest,
		Phase: PhaseAt(p, 0), Steps: len(p.Steps), Started: started, Updated: started, Fence: before.Fence + 1,
	}
	for _, pol := range p.Change.Policies {
		s.Policies = append(s.Policies, pol.Key)
	}
	if p.Settings.Deadline > 0 {
		s.Deadline = started.Add(p.Settings.Deadline)
	}
	return s
}

// record is what the archive keeps of the plan.
func (p *Plan) record(started time.Time) Record {
	r := Record{
		Result: "running", Name: p.Name, Strategy: p.Strategy, Host: p.Host, Digest: p.Digest, Rev: p.Change.Rev,
		Documents: p.Documents, Settings: p.Settings, Absent: p.Absent, Started: started,
	}
	for _, s := range p.Steps {
		if s.Kind != metrics.StepClean { // planning makes it again
			r.Steps = append(r.Steps, s.Step)
		}
	}
	for _, o := range p.Base {
		r.Base = append(r.Base, o.Object)
	}
	return r
}

// Rebuild makes the plan of an unfinished rollout again, from its record and a fresh snapshot in which the touched
// objects are put back to their base. Another digest than the recorded one is an error: nothing is re-planned in
// silence.
func Rebuild(m Compiler, rec Record, s *policy.Snapshot, c policy.Change) (*Plan, *policy.Snapshot, error) {
	past := WithBase(s, rec)
	c.Rev = rec.Rev
	p, err := NewPlan(m, PlanInput{
		Name: rec.Name, Strategy: rec.Strategy, Snapshot: past, Change: c, Steps: rec.Steps, Settings: rec.Settings,
		Host: rec.Host, Documents: rec.Documents,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("making the plan of rollout %s again: %w", rec.Name, err)
	}
	if p.Digest != rec.Digest {
		return nil, nil, fmt.Errorf("making the plan of rollout %s again: its digest is %s, the recorded one %s; it can only be taken back: meshpol rollback %s", rec.Name, p.Digest, rec.Digest, rec.Name)
	}
	return p, past, nil
}

// WithBase is a snapshot as it was before the rollout of the record.
func WithBase(s *policy.Snapshot, rec Record) *policy.Snapshot {
	gone := map[Ref]bool{}
	var base []*unstructured.Unstructured
	for _, o := range rec.Base {
		u := &unstructured.Unstructured{Object: o}
		gone[RefOf(u)] = true
		base = append(base, u)
	}
	for _, ref := range rec.Absent {
		gone[ref] = true
	}
	out := *s
	out.Objects = nil
	for _, o := range s.Objects {
		if !gone[RefOf(o)] {
			out.Objects = append(out.Objects, o)
		}
	}
	out.Objects = append(out.Objects, base...)
	return &out
}

// BackPlan is a plan that can only go back: base and what was written last come from the record, nothing is compiled.
// It needs neither files nor a machine's memory.
func BackPlan(rec Record, c policy.Change) *Plan {
	c.Rev = rec.Rev
	p := &Plan{Name: rec.Name, Strategy: rec.Strategy, Change: c, Settings: rec.Settings, Host: rec.Host, Digest: rec.Digest, Absent: rec.Absent, Documents: rec.Documents}
	for _, o := range rec.Base {
		p.Base = append(p.Base, &unstructured.Unstructured{Object: o})
	}
	last := PlannedStep{}
	for _, o := range rec.Final {
		last.Stages = append(last.Stages, mesh.Stage{Object: &unstructured.Unstructured{Object: o}})
	}
	if len(last.Stages) > 0 {
		p.Steps = []PlannedStep{last}
	}
	return p
}

// BackState is the state with which Run takes a finished rollout back.
func BackState(before State, p *Plan, reason string) State {
	s := before
	s.Phase, s.Undo, s.Cause, s.Reason, s.Request = RollingBack, undoNeutralised, CausePerson, reason, ""
	s.Step, s.Steps, s.Stage, s.Written, s.Holding = len(p.Steps), len(p.Steps), 0, false, false
	s.Deadline = time.Time{}
	s.Touched = nil
	for _, o := range p.Base {
		s.Touched = append(s.Touched, Touched{Ref: RefOf(o)})
	}
	for _, ref := range p.Absent {
		s.Touched = append(s.Touched, Touched{Ref: ref, Absent: true})
	}
	return s
}
