package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/rollout"
)

var errGone = errors.New("the API server does not answer")

// gone makes every call but reads of metrics fail for a time.
func (b *bench) gone(from, length time.Duration) func(fakemesh.Call) fakemesh.Fault {
	began := time.Now()
	return func(c fakemesh.Call) fakemesh.Fault {
		if past := time.Since(began); c.Op != "read" && past >= from && past < from+length {
			return fakemesh.Fault{Before: errGone}
		}
		return fakemesh.Fault{}
	}
}

func TestOutageOfTheAPIServer(t *testing.T) {
	for _, from := range []time.Duration{0, 10 * time.Second, 31 * time.Second, 61 * time.Second, 95 * time.Second, 121 * time.Second, 150 * time.Second} {
		t.Run("20 s after "+from.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				r := b.runner("one")
				b.planned()
				x := r.executor(b.world.Snapshot())
				s, err := x.Begin(r.ctx, b.plan, "one", time.Now())
				must(t, err)
				r.node.Fault = b.gone(from, 20*time.Second)
				got, err := x.Run(r.ctx, b.plan, s)
				endedAs(t, got, err, rollout.Succeeded, "")
				b.specIs(vsRef(), cartFolded)
				b.clean()
				b.trace()
			})
		})
	}
}

func TestOutageOnTheWayBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.judge = failAt(2)
		r := b.runner("one")
		// Two of nine calls of the way back fail, one of them after it took place.
		n := 0
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if len(fakemesh.Of[rollout.TakingBack](b.sink)) == 0 {
				return fakemesh.Fault{}
			}
			n++
			switch n % 9 {
			case 3:
				return fakemesh.Fault{Before: errGone}
			case 8:
				return fakemesh.Fault{After: errGone}
			}
			return fakemesh.Fault{}
		}
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.asBefore()
		b.trace()
	})
}

func TestLongOutageEndsAsFailedAndCanBeTakenBackLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = b.gone(100*time.Second, time.Hour)
		began := time.Now()
		got, err := r.start()
		endedAs(t, got, err, rollout.Failed, rollout.CauseInternal)
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("gave up after %s", took)
		}
		if !strings.Contains(got.Reason, "does not answer") || !strings.Contains(got.Reason, "could not be taken back") {
			t.Errorf("reason: %s", got.Reason)
		}
		ends := fakemesh.Of[rollout.Ended](b.sink)
		if len(ends) != 1 || ends[0].Phase != rollout.Failed || ends[0].Next == "" {
			t.Errorf("told: %+v", ends)
		}
		time.Sleep(time.Hour)
		got, err = b.runner("two").resume(rollout.RequestAbort)
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		b.asBefore()
	})
}

func TestFailedIsStoredAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.judge = failAt(1)
		refuse := true
		b.world.Refuse = func(_ rollout.Op, o *unstructured.Unstructured) error {
			if refuse && len(fakemesh.Of[rollout.TakingBack](b.sink)) > 0 {
				return errors.New("the cluster is frozen")
			}
			return nil
		}
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Failed, rollout.CauseBreach)
		s, holder, err := b.world.Stored(b.change.Target)
		must(t, err)
		if s.Phase != rollout.Failed || !strings.Contains(s.Reason, "frozen") || holder != "" {
			t.Errorf("stored: %s (%s), held by %q", s.Phase, s.Reason, holder)
		}
		if s.Phase.Ended() {
			t.Error("a failed rollout has not ended: it needs a person")
		}
		refuse = false
		got, err = b.runner("two").resume("")
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		b.asBefore()
	})
}

func TestRefusedHousekeepingUndoesNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if c.Op == "give-back" {
				return fakemesh.Fault{Before: &rollout.RefusedError{Ref: vsRef(), Forbidden: true, Err: errors.New("forbidden")}}
			}
			return fakemesh.Fault{}
		}
		_, err := r.start()
		if err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Fatalf("got %v", err)
		}
		if s, _, _ := b.world.Stored(b.change.Target); s.Phase != rollout.Folding || s.Step != s.Steps && s.Step < 5 {
			t.Errorf("stored: %s at step %d of %d", s.Phase, s.Step, s.Steps)
		}
		b.specIs(vsRef(), cartFolded)
		got, err := b.runner("two").resume("")
		endedAs(t, got, err, rollout.Succeeded, "")
		b.clean()
	})
}

func TestLostLeaseEndsAllWrites(t *testing.T) {
	total := callsOf(t, spec{}, nil)
	for n := 13; n <= total; n += 3 {
		bubble(t, func(t *testing.T) {
			b := prepare(t, spec{})
			r := b.runner("one")
			r.node.Fault = at(n, func() { b.world.Seize(b.change.Target, "thief") })
			got, err := r.start()
			var locked *rollout.LockedError
			if !errors.As(err, &locked) && got.Phase != rollout.Succeeded {
				t.Errorf("lost at call %d: %s, %v", n, got.Phase, err)
			}
			lost := false
			for _, e := range b.world.Log() {
				// A write that was begun within seconds of the last renewal is as good as one before the loss: the lease
				// itself cannot go to anybody while it is fresh. Here it was taken by force.
				if e.Call.N > n+2 && (e.Call.Op == "write" || e.Call.Op == "label") {
					lost = true
				}
			}
			if lost {
				t.Errorf("lost at call %d of %d and still writing", n, total)
				b.trace()
			}
		})
	}
}

func TestSilentRunnerFindsItsFenceAndStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		one := b.runner("one")
		slept := false
		// The first runner's machine sleeps for ten minutes between its read and its write.
		one.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if c.Op == "write" && !slept && len(fakemesh.Of[rollout.StepStarted](b.sink)) == 2 {
				slept = true
				return fakemesh.Fault{Meanwhile: func() { time.Sleep(10 * time.Minute) }}
			}
			return fakemesh.Fault{}
		}
		done := make(chan error, 1)
		go func() {
			_, err := one.start()
			done <- err
		}()
		time.Sleep(40 * time.Second)
		got, err := b.runner("two").resume("")
		endedAs(t, got, err, rollout.Succeeded, "")
		var locked *rollout.LockedError
		if err := <-done; !errors.As(err, &locked) {
			t.Errorf("the first runner ended with %v", err)
		}
		b.specIs(vsRef(), cartFolded)
		// The write that it was about to send was refused by the API server, for its version was old.
		b.clean()
	})
}

func TestBegin(t *testing.T) {
	cases := map[string]struct {
		before func(b *bench)
		check  func(t *testing.T, err error)
	}{
		"a live runner": {
			before: func(b *bench) { b.world.Seize(b.change.Target, "somebody") },
			check: func(t *testing.T, err error) {
				var locked *rollout.LockedError
				if !errors.As(err, &locked) || locked.Holder != "somebody" {
					t.Errorf("got %v", err)
				}
			},
		},
		"a refusing webhook": {
			before: func(b *bench) {
				b.world.Refuse = func(_ rollout.Op, o *unstructured.Unstructured) error {
					if text, _ := o.MarshalJSON(); strings.Contains(string(text), "250ms") {
						return errors.New("too short for us")
					}
					return nil
				}
			},
			check: func(t *testing.T, err error) {
				var refused *rollout.RefusedError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), "too short for us") || !strings.Contains(err.Error(), `step "10 %"`) {
					t.Errorf("got %v", err)
				}
			},
		},
		"another spec than planned": {
			before: func(b *bench) { b.world.Edit(vsRef(), "person", addHost) },
			check: func(t *testing.T, err error) {
				if err == nil || !strings.Contains(err.Error(), "make the plan again") || !strings.Contains(err.Error(), "person") {
					t.Errorf("got %v", err)
				}
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				r := b.runner("one")
				p := b.planned()
				c.before(b)
				_, err := r.executor(b.world.Snapshot()).Begin(r.ctx, p, "one", time.Now())
				c.check(t, err)
				for _, e := range b.world.Log() {
					if slices.Contains([]string{"write", "put", "save"}, e.Call.Op) {
						t.Errorf("written: %s", e)
					}
				}
				if _, holder, _ := b.world.Stored(b.change.Target); holder == "one" {
					t.Error("the lease was not given back")
				}
			})
		})
	}
}

func TestBeginGoesOnAfterAnEditOfMetadata(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		p := b.planned()
		b.world.Edit(vsRef(), "person", annotate("owner", "ann"))
		x := r.executor(b.world.Snapshot())
		s, err := x.Begin(r.ctx, p, "one", time.Now())
		must(t, err)
		got, err := x.Run(r.ctx, p, s)
		endedAs(t, got, err, rollout.Succeeded, "")
	})
}

func TestBeginWithAnUnfinishedRollout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillAfter: c.N == 40} }
		_, err := r.start()
		if err == nil {
			t.Fatal("the runner should be dead")
		}
		time.Sleep(time.Minute)
		two := b.runner("two")
		_, err = two.executor(b.world.Snapshot()).Begin(two.ctx, b.plan, "two", time.Now())
		var unfinished *rollout.UnfinishedError
		if !errors.As(err, &unfinished) || unfinished.State.Name != "cart-timeout" {
			t.Fatalf("got %v", err)
		}
		for _, part := range []string{"unfinished", "meshpol rollout resume cart-timeout -n shop"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %s", part, err)
			}
		}
		if _, holder, _ := b.world.Stored(b.change.Target); holder != "" {
			t.Errorf("the lease is held by %s", holder)
		}
	})
}

func TestRecordOfARunThatNeverBeganIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault { return fakemesh.Fault{KillAfter: c.Op == "put"} }
		if _, err := r.start(); err == nil {
			t.Fatal("the runner should be dead")
		}
		time.Sleep(time.Minute)
		two := b.runner("two")
		got, err := two.start()
		endedAs(t, got, err, rollout.Succeeded, "")
		records, err := two.node.Records(t.Context(), b.change.Target)
		must(t, err)
		if len(records) != 2 || records[0].Result != "succeeded" || records[1].Result != "rolled-back" {
			t.Errorf("records: %s, %s", records[0].Result, records[1].Result)
		}
	})
}
