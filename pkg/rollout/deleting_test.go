package rollout_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// remover is a mesh whose policies are brought into force by deleting the DestinationRule and, in the fold, the
// VirtualService's timeout: what `meshpol delete` and the swap of two filters will need.
type remover struct{}

func (remover) Compile(s *policy.Snapshot, _ policy.Change, e policy.Exposure) (mesh.Compiled, error) {
	var out mesh.Compiled
	if e.Mode == policy.Enforce {
		out.Stages = append(out.Stages, mesh.Stage{Object: s.Object("DestinationRule", "shop", "cart"), Delete: true})
	}
	if e.By == policy.All {
		vs := s.Object("VirtualService", "shop", "cart").DeepCopy()
		entries, _, _ := unstructured.NestedSlice(vs.Object, "spec", "http")
		delete(entries[0].(map[string]any), "timeout")
		_ = unstructured.SetNestedSlice(vs.Object, entries, "spec", "http")
		out.Stages = append(out.Stages, mesh.Stage{Object: vs})
	}
	return out, nil
}

func (remover) Neutralise([]*unstructured.Unstructured, policy.Change) []*unstructured.Unstructured {
	return nil
}
func (remover) NeutralMarkers(policy.Change) []mesh.Marker { return nil }

func (remover) Tidy(base, _, _ *unstructured.Unstructured, _ policy.Change) (mesh.Undone, error) {
	return mesh.Undone{Object: base}, nil
}

func (remover) Query(*policy.Snapshot, policy.Change, policy.Exposure, map[string]metrics.Side) (metrics.Query, error) {
	return metrics.Query{}, nil
}

// removing is a rollout with the remover, judged by nobody.
func removing(t *testing.T) (*bench, *runner) {
	t.Helper()
	b := prepare(t, spec{objects: cartObjects + cartRule})
	b.setting.NoAnalysis = true
	b.tweak = func(x *rollout.Executor) { x.Mesh = remover{} }
	return b, b.runner("one")
}

// begin plans with the remover and begins.
func (r *runner) begin() (rollout.Executor, rollout.State) {
	r.t.Helper()
	in := r.input()
	in.Change.Rev = "0a1b2c3d"
	p, err := rollout.NewPlan(remover{}, in)
	must(r.t, err)
	r.plan, r.before, r.change = p, r.world.All(), in.Change
	x := r.executor(r.world.Snapshot())
	s, err := x.Begin(r.ctx, p, r.node.Name, time.Now())
	must(r.t, err)
	return x, s
}

func TestDeletedByTheRolloutComesBack(t *testing.T) {
	for name, after := range map[string]time.Duration{"after the deletion": 50 * time.Second, "in the fold": 130 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, r := removing(t)
				x, s := r.begin()
				go func() {
					time.Sleep(after)
					if b.world.Get(drRef()) != nil {
						t.Error("the rule is still there")
					}
					close(r.interrupt)
				}()
				got, err := x.Run(r.ctx, b.plan, s)
				endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
				b.asBefore()
				wrote := fakemesh.Of[rollout.Wrote](b.sink)
				back := wrote[len(wrote)-1]
				for _, w := range wrote {
					if w.Op == rollout.Create {
						back = w
					}
				}
				if back.Op != rollout.Create || back.Object != drRef() {
					t.Errorf("the rule did not come back by a create: %+v", wrote)
				}
				b.trace()
			})
		})
	}
}

func TestDeletedByTheRolloutComesBackAfterASuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, r := removing(t)
		x, s := r.begin()
		got, err := x.Run(r.ctx, b.plan, s)
		endedAs(t, got, err, rollout.Succeeded, "")
		if b.world.Get(drRef()) != nil {
			t.Error("the rule is still there")
		}
		b.clean()
		got, err = b.runner("two").takeBack()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		b.asBefore()
	})
}

func TestSomebodyMadeWhatTheRolloutDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, r := removing(t)
		x, s := r.begin()
		theirs := objects(t, strings.TrimPrefix(strings.Replace(cartRule, "LEAST_REQUEST", "RANDOM", 1), "\n---"))[0]
		go func() {
			time.Sleep(50 * time.Second)
			b.world.Put(theirs, "person")
		}()
		got, err := x.Run(r.ctx, b.plan, s)
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseEdited)
		b.specIs(drRef(), "{host: cart, trafficPolicy: {loadBalancer: {simple: RANDOM}}}")
	})
}
