package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// TestOneFailureOfEveryOperationIsTriedAgain fails one call of every kind, before or after it took place: none of them
// is a reason to take a rollout back.
func TestOneFailureOfEveryOperationIsTriedAgain(t *testing.T) {
	s := spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients(), shares: &fakemesh.Shares{}}
	for _, op := range []string{"get", "write", "save", "prove", "pods", "label", "read", "give-back", "close", "release"} {
		for n := 2; n <= 5; n++ {
			for _, after := range []bool{false, true} {
				bubble(t, func(t *testing.T) {
					b := prepare(t, s)
					r := b.runner("one")
					seen := 0
					r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
						if c.Op == op {
							seen++
						}
						switch {
						case c.Op != op || seen != n || len(fakemesh.Of[rollout.Started](b.sink)) == 0:
							return fakemesh.Fault{}
						case after:
							return fakemesh.Fault{After: errGone}
						}
						return fakemesh.Fault{Before: errGone}
					}
					got, err := r.start()
					endedAs(t, got, err, rollout.Succeeded, "")
					b.specIs(drRef(), cartRuleFolded)
					b.clean()
					if t.Failed() {
						t.Logf("%s #%d failed, after it took place: %v", op, n, after)
						b.trace()
						t.FailNow()
					}
				})
			}
		}
	}
}

func TestFenceOfALaterRunnerStopsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = once("read", 3, func() { b.world.Edit(vsRef(), "meshpol", annotate(rollout.MarkFence, "99")) })
		got, err := r.start()
		var locked *rollout.LockedError
		if !errors.As(err, &locked) || !strings.Contains(locked.Holder, "bears its fence") {
			t.Fatalf("ended as %s, %v", got.Phase, err)
		}
		if fence := b.world.Get(vsRef()).GetAnnotations()[rollout.MarkFence]; fence != "99" {
			t.Errorf("the object was written behind the fence: it bears %q", fence)
		}
	})
}

func TestRequestWithoutAMeaningIsToldOnce(t *testing.T) {
	for _, request := range []string{rollout.RequestResume, "dance"} {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			go func() {
				time.Sleep(40 * time.Second)
				b.world.Ask(b.change.Target, request)
				time.Sleep(30 * time.Second)
				if s, _, err := b.world.Stored(b.change.Target); err != nil || s.Request != "" {
					t.Errorf("after 30 s the lease still says %q, %v", s.Request, err)
				}
			}()
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.Succeeded, "")
			told := 0
			for _, w := range fakemesh.Of[rollout.Warned](b.sink) {
				if strings.Contains(w.Text, fmt.Sprintf("the request to %s has no meaning", request)) {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%s: told %d times", request, told)
			}
		})
	}
}

// TestPodUnderAnOldNameIsProvedAnew replaces a proved pod by one of the same name whose proxy never takes the cohort.
func TestPodUnderAnOldNameIsProvedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaker(t)
		b.steps[1].Min = 3 * time.Minute
		b.steps[1].Max = 5 * time.Minute
		r := b.runner("one")
		replaced, failed := false, false
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if replaced && !failed && c.Op == "prove" {
				failed = true
				return fakemesh.Fault{Before: errGone}
			}
			return fakemesh.Fault{}
		}
		go func() {
			time.Sleep(90 * time.Second)
			labelled := b.world.PodsWith(b.change.Target.CohortLabel())
			if len(labelled) != 1 {
				t.Errorf("cohort %v", labelled)
				return
			}
			id, _, _ := strings.Cut(labelled[0], "=")
			ns, name, _ := strings.Cut(id, "/")
			b.world.RemovePod(id)
			b.world.SetPod(fakemesh.Pod(ns, "front", name))
			b.world.Freeze(id)
			replaced = true
		}()
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseTimeout)
		b.clean()
		if !failed || got.State.Step != 1 {
			t.Errorf("the new pod was not proved in its step: ended at step %d", got.State.Step)
		}
	})
}
