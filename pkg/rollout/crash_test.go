package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// crashes runs a rollout once for every port call, kills the runner there, before or after the call took place, and
// lets a second runner go on.
func crashes(t *testing.T, s spec, set func(*bench), stride int, check func(b *bench, got rollout.Result)) {
	t.Helper()
	var total int
	s.shares = &fakemesh.Shares{}
	bubble(t, func(t *testing.T) {
		b := prepare(t, s)
		if set != nil {
			set(b)
		}
		r := b.runner("one")
		_, err := r.start()
		must(t, err)
		total = r.node.Calls()
	})
	for n := 1; n <= total; n += stride {
		for _, after := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				b := prepare(t, s)
				if set != nil {
					set(b)
				}
				b.crashAt(n, after, check)
				if t.Failed() {
					t.Logf("killed at call %d of %d, after it took place: %v", n, total, after)
					b.trace()
					t.FailNow()
				}
			})
		}
	}
}

func (b *bench) crashAt(n int, after bool, check func(b *bench, got rollout.Result)) {
	b.t.Helper()
	one := b.runner("one")
	one.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
		return fakemesh.Fault{KillBefore: c.N == n && !after, KillAfter: c.N == n && after}
	}
	if _, err := one.start(); err == nil {
		b.t.Logf("the runner came to its end before call %d", n)
	}
	// Somebody else's change in the time without a runner must survive whatever follows.
	b.world.Edit(vsRef(), "person", annotate("owner", "ann"))
	s, _, err := b.world.Stored(b.change.Target)
	must(b.t, err)
	two := b.runner("two")
	if s.Phase == "" {
		time.Sleep(time.Minute)
		got, err := two.start()
		must(b.t, err)
		check(b, got)
		return
	}
	got, err := two.resume("")
	must(b.t, err)
	check(b, got)
	if a := b.world.Get(vsRef()); a != nil && a.GetAnnotations()["owner"] != "ann" {
		b.t.Errorf("the edit of a person is lost: %v", a.GetAnnotations())
	}
}

func TestCrashAtEveryCallOfASuccess(t *testing.T) {
	crashes(t, spec{}, nil, 1, func(b *bench, got rollout.Result) {
		b.t.Helper()
		endedAs(b.t, got, nil, rollout.Succeeded, "")
		b.specIs(vsRef(), cartFolded)
		b.clean()
		if owner := fakemesh.Owner(b.world.Get(vsRef()), "spec"); owner != "team" {
			b.t.Errorf("the spec belongs to %q", owner)
		}
	})
}

func TestCrashAtEveryCallOfAWayBack(t *testing.T) {
	for _, step := range []int{2, 4} {
		crashes(t, spec{}, func(b *bench) { b.judge = failAt(step) }, 1, func(b *bench, got rollout.Result) {
			b.t.Helper()
			endedAs(b.t, got, nil, rollout.RolledBack, rollout.CauseBreach)
			b.clean()
			live := bare(b.world.All())
			want := bare(b.before)
			for _, o := range []map[string]any{live, want} {
				for _, v := range o {
					delete(v.(map[string]any)["metadata"].(map[string]any), "annotations")
					delete(v.(map[string]any)["metadata"].(map[string]any), "managedFields")
				}
			}
			if diff := cmp.Diff(want, live); diff != "" {
				b.t.Errorf("(-before +now):\n%s", diff)
			}
		})
	}
}

// A rollback of a finished rollout that dies at any call is gone to its end by whoever resumes it, with the plan made
// again; the steps that the rollout had stay in its state.
func TestCrashAtEveryCallOfABackAfterASuccess(t *testing.T) {
	for n := 1; ; n++ {
		ended := false
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			done, err := b.runner("one").start()
			endedAs(t, done, err, rollout.Succeeded, "")
			two := b.runner("two")
			two.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillBefore: c.N == n} }
			got, err := two.takeBack()
			if ended = two.node.Calls() < n; !ended {
				got, err = b.runner("three").resume("")
				must(t, err)
				if got.Phase == rollout.Succeeded { // it died before it had begun
					got, err = b.runner("four").takeBack()
				}
			}
			endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
			b.asBefore()
			if got.State.Steps != done.State.Steps || len(got.State.Results) != len(done.State.Results) || got.State.Exposed != "" {
				t.Errorf("killed at call %d: %d steps, %d results, %q in force; it had %d steps", n, got.State.Steps, len(got.State.Results), got.State.Exposed, done.State.Steps)
			}
		})
		if ended || t.Failed() {
			return
		}
	}
}
