package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

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
		u := objectOf(o)
		gone[unversioned(RefOf(u))] = true
		base = append(base, u)
	}
	for _, ref := range rec.Absent {
		gone[unversioned(ref)] = true
	}
	out := *s
	out.Objects = nil
	for _, o := range s.Objects {
		if !gone[unversioned(RefOf(o))] {
			out.Objects = append(out.Objects, o)
		}
	}
	out.Objects = append(out.Objects, base...)
	return &out
}

// unversioned is a Ref that is the same in every version of the API.
func unversioned(r Ref) Ref {
	r.APIVersion = ""
	return r
}

// objectOf is a recorded object with numbers as the API server's client gives them: encoding/json makes every number a
// float, which no reader of an int64 takes.
func objectOf(o map[string]any) *unstructured.Unstructured {
	var out map[string]any
	b, err := json.Marshal(o)
	if err == nil {
		err = utiljson.Unmarshal(b, &out)
	}
	if err != nil {
		out = o // it cannot be encoded, so it was never decoded either
	}
	return &unstructured.Unstructured{Object: out}
}

// BackPlan is a plan that can only go back: base and what was written last come from the record, nothing is compiled.
// It needs neither files nor a machine's memory.
func BackPlan(rec Record, c policy.Change) *Plan {
	c.Rev = rec.Rev
	p := &Plan{Name: rec.Name, Strategy: rec.Strategy, Change: c, Settings: rec.Settings, Host: rec.Host, Digest: rec.Digest, Absent: rec.Absent, Documents: rec.Documents, Back: true}
	for _, o := range rec.Base {
		p.Base = append(p.Base, objectOf(o))
	}
	last := PlannedStep{}
	for _, o := range rec.Final {
		last.Stages = append(last.Stages, mesh.Stage{Object: objectOf(o)})
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
	s.Step, s.Stage, s.Written, s.Holding = max(before.Steps, len(p.Steps)), 0, false, false // all of its steps are done
	s.Deadline, s.PauseUntil = time.Time{}, time.Time{}
	s.Exposed = folded()
	s.Touched = nil
	for _, o := range p.Base {
		s.Touched = append(s.Touched, p.finished(RefOf(o)))
	}
	for _, ref := range p.Absent {
		s.Touched = append(s.Touched, p.finished(ref))
	}
	return s
}

// folded is the exposure from the fold on.
func folded() string { return policy.Exposure{By: policy.All}.String() }

// finished is the entry of an object after a success: ours, with the spec of the fold, or none where it was deleted.
func (p *Plan) finished(ref Ref) Touched {
	t := Touched{Ref: ref, Absent: slices.Contains(p.Absent, ref), Ours: true}
	for _, step := range p.Steps {
		for _, stage := range step.Stages {
			if RefOf(stage.Object) == ref {
				t.Spec = SpecHash(stage.Object)
			}
		}
	}
	return t
}
