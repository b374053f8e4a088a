package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// takeBack does what `meshpol rollback` does: the record and the lease are all it knows.
func (r *runner) takeBack() (rollout.Result, error) {
	s, err := r.acquire()
	if err != nil {
		return rollout.Result{}, err
	}
	records, err := r.node.Records(r.ctx, r.change.Target)
	if err != nil {
		return rollout.Result{}, err
	}
	for _, rec := range records {
		if rec.Revision == s.Revision {
			p := rollout.BackPlan(rec, r.change)
			back := rollout.BackState(s, p, "taken back by a person")
			if !s.Phase.Ended() {
				back = s
				back.Phase, back.Undo, back.Cause, back.Reason = rollout.RollingBack, 0, rollout.CausePerson, "taken back by a person"
			}
			x := r.executor(r.world.Snapshot())
			x.Meter, x.Judge, x.Interrupt = nil, nil, nil
			return x.Run(r.ctx, p, back)
		}
	}
	return rollout.Result{}, errors.New("the record is gone")
}

func TestBackAfterASuccess(t *testing.T) {
	cases := map[string]spec{
		"by request":      {},
		"by instance":     {objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()},
		"created objects": {objects: cartObjects[:strings.Index(cartObjects, "---")], policy: cartBreaker, rollout: byInstance, pods: clients()},
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, s)
				got, err := b.runner("one").start()
				endedAs(t, got, err, rollout.Succeeded, "")
				two := b.runner("two")
				got, err = two.takeBack()
				endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
				b.asBefore()
				records, err := two.node.Records(t.Context(), b.change.Target)
				must(t, err)
				if records[0].Result != "rolled-back" {
					t.Errorf("the record says %s", records[0].Result)
				}
				b.trace()
			})
		})
	}
}

func TestBackAfterASuccessKeepsLaterEdits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.world.Edit(vsRef(), "person", addHost)
		b.world.Edit(vsRef(), "person", annotate("owner", "ann"))
		got, err = b.runner("two").takeBack()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		b.specIs(vsRef(), strings.Replace(cartRoutesAsBefore, "[cart]", "[cart, cart.example.com]", 1))
		if a := b.world.Get(vsRef()).GetAnnotations(); a["owner"] != "ann" {
			t.Errorf("annotations %v", a)
		}
		b.clean()
	})
}

func TestBackAfterASuccessWhereTheValueIsSomebodyElses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.world.Edit(vsRef(), "person", func(o *unstructured.Unstructured) {
			entries, _, _ := unstructured.NestedSlice(o.Object, "spec", "http")
			entries[0].(map[string]any)["timeout"] = "1s"
			must(t, unstructured.SetNestedSlice(o.Object, entries, "spec", "http"))
		})
		got, err = b.runner("two").takeBack()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		b.specIs(vsRef(), strings.Replace(cartFolded, "250ms", "1s", 1))
		if kept := fakemesh.Of[rollout.Kept](b.sink); len(kept) != 1 || !strings.Contains(kept[0].Conflicts[0], "stays") {
			t.Errorf("told: %+v", kept)
		}
		b.clean()
	})
}

func TestBackAfterASuccessIsLockedByAnotherRollout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.world.Edit(vsRef(), "meshpol", annotate(rollout.MarkRollout, "other/12345678"))
		_, err = b.runner("two").takeBack()
		var marked *rollout.MarkedError
		if !errors.As(err, &marked) {
			t.Fatalf("got %v", err)
		}
		s, holder, err := b.world.Stored(b.change.Target)
		must(t, err)
		if s.Phase != rollout.Succeeded || holder != "" {
			t.Errorf("stored %s, held by %q: nothing should have changed", s.Phase, holder)
		}
		b.specIs(vsRef(), cartFolded)
	})
}

func TestBackAfterADeletion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		b.world.Remove(vsRef())
		got, err = b.runner("two").takeBack()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		if b.world.Get(vsRef()) != nil {
			t.Error("what somebody deleted is there again")
		}
	})
}

func TestUnfinishedRolloutGoesBackWithoutItsPlan(t *testing.T) {
	for n := 20; n < 100; n += 7 {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()})
			one := b.runner("one")
			one.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillAfter: c.N == n} }
			if _, err := one.start(); err == nil {
				t.Fatal("the runner should be dead")
			}
			got, err := b.runner("two").takeBack()
			endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
			b.asBefore()
			if t.Failed() {
				t.Logf("killed at call %d", n)
				b.trace()
			}
		})
	}
}

func TestBackPlanNeverGoesForward(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		one := b.runner("one")
		one.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillAfter: c.N == 60} }
		if _, err := one.start(); err == nil {
			t.Fatal("the runner should be dead")
		}
		two := b.runner("two")
		s, err := two.acquire()
		must(t, err)
		records, err := two.node.Records(t.Context(), b.change.Target)
		must(t, err)
		got, err := two.executor(b.world.Snapshot()).Run(two.ctx, rollout.BackPlan(records[0], b.change), s)
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseInternal)
		b.asBefore()
	})
}

func TestRebuild(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		one := b.runner("one")
		one.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillAfter: c.N == 60} }
		if _, err := one.start(); err == nil {
			t.Fatal("the runner should be dead")
		}
		records, err := b.world.Node("reader").Records(t.Context(), b.change.Target)
		must(t, err)
		c := b.change
		c.Rev = ""
		p, past, err := rollout.Rebuild(istio.New(), records[0], b.world.Snapshot(), c)
		must(t, err)
		if p.Digest != b.plan.Digest || p.Change.Rev != b.plan.Change.Rev || len(p.Steps) != len(b.plan.Steps) {
			t.Errorf("the plan is another one: %s with %d steps", p.Digest, len(p.Steps))
		}
		if got := rollout.SpecHash(past.Object("VirtualService", "shop", "cart")); got != rollout.SpecHash(b.before[vsRef()]) {
			t.Error("the snapshot does not hold the base")
		}
		// A second route to the cart makes another plan.
		other := objects(t, strings.NewReplacer("name: cart", "name: other", "hosts: [cart]", "hosts: [other]").Replace(cartObjects))[1]
		b.world.Put(other, "person")
		_, _, err = rollout.Rebuild(istio.New(), records[0], b.world.Snapshot(), c)
		if err == nil || !strings.Contains(err.Error(), "can only be taken back") {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewPolicyAfterABackHasANewRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.judge = failAt(1)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		first := got.State
		b.judge = fakemesh.Judge{}
		time.Sleep(time.Minute)
		got, err = b.runner("two").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if got.State.Rev == first.Rev || got.State.Digest != first.Digest || got.State.Revision != first.Revision+1 || got.State.Fence <= first.Fence {
			t.Errorf("first %s %d fence %d, second %s %d fence %d", first.Rev, first.Revision, first.Fence, got.State.Rev, got.State.Revision, got.State.Fence)
		}
	})
}

// A run needs its record only at its end; without it, it ends all the same, and says what is lost.
func TestRecordDeletedMeanwhile(t *testing.T) {
	for name, judge := range map[string]metrics.Judge{"success": nil, "way back": failAt(2)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				want, cause := rollout.Succeeded, rollout.Cause("")
				if judge != nil {
					b.judge, want, cause = judge, rollout.RolledBack, rollout.CauseBreach
				}
				go func() {
					time.Sleep(40 * time.Second)
					b.world.DeleteRecords(b.change.Target)
				}()
				got, err := b.runner("one").start()
				endedAs(t, got, err, want, cause)
				b.clean()
				told := fakemesh.Of[rollout.Warned](b.sink)
				if len(told) != 1 || !strings.Contains(told[0].Text, "deleted the record") {
					t.Errorf("told: %+v", told)
				}
			})
		})
	}
}
