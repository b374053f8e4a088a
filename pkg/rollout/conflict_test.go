package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func stepOf(by policy.By, share float64) policy.Exposure {
	return policy.Exposure{Mode: policy.Enforce, By: by, Share: share, Window: policy.NewWindow("seed", share)}
}

// once lets something happen just before the n-th call of an operation.
func once(op string, n int, act func()) func(fakemesh.Call) fakemesh.Fault {
	seen := 0
	return func(c fakemesh.Call) fakemesh.Fault {
		if c.Op != op {
			return fakemesh.Fault{}
		}
		if seen++; seen != n {
			return fakemesh.Fault{}
		}
		return fakemesh.Fault{Meanwhile: act}
	}
}

func annotate(key, value string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		a := o.GetAnnotations()
		if a == nil {
			a = map[string]string{}
		}
		a[key] = value
		o.SetAnnotations(a)
	}
}

// addHost is a person's edit of the spec.
func addHost(o *unstructured.Unstructured) {
	hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
	_ = unstructured.SetNestedStringSlice(o.Object, append(hosts, "cart.example.com"), "spec", "hosts")
}

func TestEditOfMetadataGoesOnAndSurvives(t *testing.T) {
	for name, op := range map[string]string{"before a write": "write", "while it is judged": "read"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				r := b.runner("one")
				r.node.Fault = once(op, 2, func() { b.world.Edit(vsRef(), "person", annotate("owner", "ann")) })
				got, err := r.start()
				endedAs(t, got, err, rollout.Succeeded, "")
				b.specIs(vsRef(), cartFolded)
				b.clean()
				if a := b.world.Get(vsRef()).GetAnnotations(); a["owner"] != "ann" || a["note"] != "keep me" {
					t.Errorf("annotations are now %v", a)
				}
				b.trace()
			})
		})
	}
}

func TestEditOfTheSpecTakesBackAndSurvives(t *testing.T) {
	cases := map[string]struct {
		op string
		n  int
	}{
		"before the first write": {"write", 1}, "before the second write": {"write", 2}, "while step 0 is judged": {"read", 1},
		"while a step is judged": {"read", 4}, "in the bake": {"read", 8}, "in the fold": {"read", 10},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				r := b.runner("one")
				r.node.Fault = once(c.op, c.n, func() { b.world.Edit(vsRef(), "person", addHost) })
				got, err := r.start()
				endedAs(t, got, err, rollout.RolledBack, rollout.CauseEdited)
				b.clean()
				b.specIs(vsRef(), `
hosts: [cart, cart.example.com]
http:
- name: main
  timeout: 5s
  route: [{destination: {host: cart}}]
`)
				b.trace()
			})
		})
	}
}

func TestDeletedObjectStaysDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = once("read", 4, func() { b.world.Remove(vsRef()) })
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseEdited)
		b.clean()
		if b.world.Get(vsRef()) != nil {
			t.Error("the object is there again")
		}
		if kept := fakemesh.Of[rollout.Kept](b.sink); len(kept) != 1 || !strings.Contains(kept[0].Conflicts[0], "stays deleted") {
			t.Errorf("told: %+v", kept)
		}
	})
}

func TestMarkOfAnotherRolloutIsALock(t *testing.T) {
	mark := annotate(rollout.MarkRollout, "other/12345678")
	t.Run("before Begin", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			b.world.Edit(vsRef(), "meshpol", mark)
			_, err := b.runner("one").start()
			var marked *rollout.MarkedError
			if !errors.As(err, &marked) || marked.Other != "other/12345678" {
				t.Fatalf("got %v", err)
			}
			nothingWritten(b)
		})
	})
	t.Run("between Begin and the first write", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			r := b.runner("one")
			r.node.Fault = once("get", 2, func() { b.world.Edit(vsRef(), "meshpol", mark) })
			got, err := r.start()
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseLocked)
			nothingWritten(b)
			b.trace()
		})
	})
	t.Run("in the middle", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			r := b.runner("one")
			r.node.Fault = once("read", 4, func() { b.world.Edit(vsRef(), "meshpol", mark) })
			got, err := r.start()
			var marked *rollout.MarkedError
			if !errors.As(err, &marked) || got.Phase != rollout.RollingBack {
				t.Fatalf("got %s, %v", got.Phase, err)
			}
			if _, holder, _ := b.world.Stored(b.change.Target); holder != "" {
				t.Errorf("the lease is still held by %s", holder)
			}
			b.world.Edit(vsRef(), "meshpol", func(o *unstructured.Unstructured) {
				unstructured.RemoveNestedField(o.Object, "metadata", "annotations", rollout.MarkRollout)
			})
			got, err = b.runner("two").resume("")
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseLocked)
			b.asBefore()
		})
	})
}

// nothingWritten checks that no object was written and the lease is free.
func nothingWritten(b *bench) {
	b.t.Helper()
	for _, e := range b.world.Log() {
		if e.Call.Op == "write" || e.Call.Op == "label" || e.Call.Op == "give-back" {
			b.t.Errorf("written: %s", e)
		}
	}
	if _, holder, err := b.world.Stored(b.change.Target); holder != "" || err != nil {
		b.t.Errorf("the lease is held by %q, %v", holder, err)
	}
}

func TestConflictsAreTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		b.judge = failAt(2)
		busy := 0
		// Somebody writes the object's status, or a label, between every read and write of ours.
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if busy++; (c.Op == "write" || c.Op == "dry-run") && busy/2%3 != 0 {
				return fakemesh.Fault{Meanwhile: func() { b.world.Edit(vsRef(), "istiod", func(*unstructured.Unstructured) {}) }}
			}
			return fakemesh.Fault{}
		}
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.specIs(vsRef(), strings.Replace(cartFolded, "250ms", "5s", 1))
		b.clean()
		b.trace()
	})
}

func TestMarksTakenOffAreSetAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = once("read", 4, func() {
			b.world.Edit(vsRef(), "pruner", func(o *unstructured.Unstructured) { o.SetAnnotations(nil) })
		})
		bakeMarked := false
		b.judge = fakemesh.Judge{Say: func(step metrics.JudgeStep, _ metrics.Tick) metrics.Judgement {
			if step.Kind == metrics.StepBake {
				bakeMarked = b.world.Get(vsRef()).GetAnnotations()[rollout.MarkRollout] == "cart-timeout/"+b.change.Rev
			}
			return metrics.Judgement{}
		}}
		got, err := r.start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if !bakeMarked {
			t.Error("the object does not bear the mark in the bake")
		}
		b.clean()
	})
}

func TestStragglersTakeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = once("write", 2, func() { b.world.Freeze("shop/front-2") })
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseTimeout)
		if !strings.Contains(got.Reason, "shop/front-2") {
			t.Errorf("the straggler is not named: %s", got.Reason)
		}
		warned := 0
		for _, w := range fakemesh.Of[rollout.Warned](b.sink) {
			if strings.Contains(w.Text, "going back") && strings.Contains(w.Text, "shop/front-2") {
				warned++
			}
		}
		if warned == 0 {
			t.Error("nobody was told that the straggler does not confirm the way back")
		}
		b.asBefore()
		b.trace()
	})
}

func TestRejectionTakesBackWithEnvoysWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.world.Reject = func(view fakemesh.Objects) string {
			if strings.Contains(dumpOf(view), "250ms") {
				return "Duration out-of-range"
			}
			return ""
		}
		began := time.Now()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		if !strings.Contains(got.Reason, "Duration out-of-range") {
			t.Errorf("Envoy's words are missing: %s", got.Reason)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %s", took)
		}
		b.asBefore()
	})
}

func dumpOf(view fakemesh.Objects) string {
	var s strings.Builder
	for _, o := range view {
		if o == nil {
			continue
		}
		b, _ := o.MarshalJSON()
		s.Write(b)
	}
	return s.String()
}

func TestRefusalInTheMiddleTakesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = once("write", 3, func() {
			b.world.Refuse = func(_ rollout.Op, o *unstructured.Unstructured) error {
				if text, _ := o.MarshalJSON(); strings.Contains(string(text), "250ms") && strings.Contains(string(text), "mp-") {
					return errors.New("admission webhook \"freeze\" denied the request")
				}
				return nil
			}
		})
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseInternal)
		if !strings.Contains(got.Reason, "denied the request") {
			t.Errorf("reason: %s", got.Reason)
		}
		b.asBefore()
	})
}
