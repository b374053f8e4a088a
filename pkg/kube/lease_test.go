package kube

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// inVirtualTime runs a test with an API server in one bubble of virtual time.
func inVirtualTime(t *testing.T, f func(t *testing.T, s *fakekube.Server, store func() *LeaseStore)) {
	t.Helper()
	s := fakekube.New(fakekube.Istio()...)
	t.Cleanup(s.Close)
	synctest.Test(t, func(t *testing.T) {
		f(t, s, func() *LeaseStore {
			return NewLeaseStore(client(t, &rest.Config{Host: "http://in-process", Transport: s.Transport()}))
		})
	})
}

func leaseIn(s *fakekube.Server) *unstructured.Unstructured {
	return s.Object("leases", "shop", cart().LeaseName())
}

func acquire(t *testing.T, s *LeaseStore, holder, takeOver string) rollout.State {
	t.Helper()
	state, err := s.Acquire(t.Context(), cart(), holder, takeOver)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func save(t *testing.T, s *LeaseStore, state rollout.State) rollout.State {
	t.Helper()
	out, err := s.Save(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantLocked(t *testing.T, err error) *rollout.LockedError {
	t.Helper()
	var locked *rollout.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("not locked: %T %v", err, err)
	}
	return locked
}

func TestAcquireSaveReleaseAcquire(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		first := acquire(t, a, "ann@box/1", "")
		if first.Phase != "" || first.Fence != 1 {
			t.Fatalf("first state %+v", first)
		}
		state := stateOf(rollout.Progressing)
		state.Step = 2
		save(t, a, state)
		l := leaseIn(s)
		if l.GetAnnotations()[annPhase] != "Progressing" || l.GetAnnotations()[annTarget] != "service shop/cart" || l.GetLabels()[labelManaged] != "meshpol" {
			t.Errorf("%v %v", l.GetAnnotations(), l.GetLabels())
		}
		if err := a.Release(t.Context(), cart()); err != nil {
			t.Fatal(err)
		}
		wantLocked(t, func() error { _, err := a.Save(t.Context(), state); return err }())
		began := time.Now()
		next := acquire(t, store(), "bob@ci/7", "")
		if next.Step != 2 || next.Phase != rollout.Progressing || next.Fence != 2 || time.Since(began) > 0 {
			t.Errorf("after release: %+v after %s", next, time.Since(began))
		}
	})
}

func TestLiveHolderIsLockedAfterOneSignOfLife(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		_, stop := a.Hold(t.Context())
		defer stop()
		b := store()
		var watched string
		b.Waiting = func(_ policy.Target, l rollout.Lock) { watched = l.Holder }
		began := time.Now()
		_, err := b.Acquire(t.Context(), cart(), "bob@ci/7", "")
		locked := wantLocked(t, err)
		if took := time.Since(began); took > 12*time.Second || watched != "ann@box/1" || locked.Holder != "ann@box/1" {
			t.Errorf("after %s, watched %q, %v", took, watched, locked)
		}
	})
}

// The clocks of two machines may differ by hours: what counts is that nothing changes for 30 s of our own time.
func TestDeadHolderIsOutlivedOnOurOwnClock(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		acquire(t, store(), "ann@box/1", "")
		l := leaseIn(s)
		if err := unstructured.SetNestedField(l.Object, time.Now().Add(5*time.Hour).Format(microTime), "spec", "renewTime"); err != nil {
			t.Fatal(err)
		}
		s.Add(l)
		began := time.Now()
		state := acquire(t, store(), "bob@ci/7", "")
		if took := time.Since(began); took < 30*time.Second || took > 33*time.Second || state.Fence != 2 {
			t.Errorf("took %s, fence %d", took, state.Fence)
		}
	})
}

func TestTakeOverFencesAndTellsWhy(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a, b := store(), store()
		acquire(t, a, "ann@box/1", "")
		save(t, a, stateOf(rollout.Progressing))
		if got := acquire(t, b, "bob@ci/7", "ann's laptop is gone"); got.Fence != 2 || got.Phase != rollout.Progressing {
			t.Errorf("%+v", got)
		}
		if why := leaseIn(s).GetAnnotations()[annTakeover]; !strings.Contains(why, "bob@ci/7 from ann@box/1") || !strings.Contains(why, "laptop is gone") {
			t.Errorf("%q", why)
		}
		_, err := a.Save(t.Context(), stateOf(rollout.RollingBack))
		if locked := wantLocked(t, err); locked.Holder != "bob@ci/7" {
			t.Errorf("%+v", locked)
		}
		if a.Remaining(cart()) != 0 || b.Remaining(cart()) != LeaseTTL {
			t.Errorf("remaining %s, %s", a.Remaining(cart()), b.Remaining(cart()))
		}
		if err := a.Release(t.Context(), cart()); err != nil {
			t.Error(err)
		}
		if leaseIn(s).Object["spec"].(map[string]any)["holderIdentity"] != "bob@ci/7" {
			t.Error("the release of a lost lock touched it")
		}
	})
}

func TestRequestIsMergedAndStaysUntilAnswered(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a, person := store(), store()
		acquire(t, a, "ann@box/1", "")
		state := save(t, a, stateOf(rollout.Progressing))
		if err := person.Request(t.Context(), cart(), Request{Verb: "abort", By: "eve", Reason: "wrong cluster"}); err != nil {
			t.Fatal(err)
		}
		state = save(t, a, state)
		if state.Request != "abort" {
			t.Fatalf("request %q", state.Request)
		}
		if state = save(t, a, state); state.Request != "abort" {
			t.Fatal("the request went away unanswered")
		}
		if peeked, _, err := person.Peek(t.Context(), cart()); err != nil || peeked.Request != "abort" {
			t.Fatalf("%v %v", peeked.Request, err)
		}
		if r, err := person.Requested(t.Context(), cart()); err != nil || r.Reason != "wrong cluster" || r.By != "eve" {
			t.Fatalf("%+v %v", r, err)
		}
		state.Request = ""
		if state = save(t, a, state); state.Request != "" || leaseIn(s).GetAnnotations()[annRequest] != "" {
			t.Fatalf("still asked for: %q", state.Request)
		}
	})
}

// A request that comes between the runner's answer to an earlier one and its save must not be swept away with it.
func TestNewerRequestSurvivesTheAnswerToAnOlderOne(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		if err := a.Ask(t.Context(), cart(), "pause"); err != nil {
			t.Fatal(err)
		}
		state := save(t, a, stateOf(rollout.Progressing))
		if err := store().Ask(t.Context(), cart(), "abort"); err != nil {
			t.Fatal(err)
		}
		state.Request = ""
		if state = save(t, a, state); state.Request != "abort" {
			t.Fatalf("request %q", state.Request)
		}
	})
}

func TestRequestByKubectl(t *testing.T) {
	for text, want := range map[string]string{
		"abort": "abort", " pause ": "pause", "": "", `{"verb":"resume"}`: "resume", `{"verb":`: "", `{}`: "", "two words": "",
	} {
		l := newLease(cart())
		l.annotate(annRequest, text)
		if got := l.request().Verb; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestRequestToNobody(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *fakekube.Server, store func() *LeaseStore) {
		if err := store().Ask(t.Context(), cart(), "abort"); err == nil || !strings.Contains(err.Error(), "there is none") {
			t.Errorf("%v", err)
		}
		if err := store().Ask(t.Context(), cart(), "dance"); err == nil || !strings.Contains(err.Error(), "none of") {
			t.Errorf("%v", err)
		}
	})
}

func TestHoldRenewsAndEndsWithTheLock(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		held, stop := a.Hold(t.Context())
		defer stop()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if held.Err() != nil || a.Remaining(cart()) < LeaseTTL-renewAfter-2*beatEvery {
			t.Fatalf("after two minutes: %v, %s remain", context.Cause(held), a.Remaining(cart()))
		}
		if n := s.Count("PUT", "leases"); n > 16 {
			t.Errorf("%d renewals in two minutes", n)
		}
		acquire(t, store(), "bob@ci/7", "urgent")
		time.Sleep(renewAfter + 2*beatEvery)
		synctest.Wait()
		if locked := wantLocked(t, context.Cause(held)); locked.Holder != "bob@ci/7" {
			t.Errorf("%+v", locked)
		}
	})
}

func TestHoldGivesUpBeforeOthersMayTakeIt(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		began := time.Now()
		held, stop := a.Hold(t.Context())
		defer stop()
		s.Fail("PUT", "leases", -1, 503, metav1.StatusReasonServiceUnavailable, "etcd has no leader")
		<-held.Done()
		if took := time.Since(began); took < 20*time.Second || took > 29*time.Second {
			t.Errorf("gave up after %s", took)
		}
		if locked := wantLocked(t, context.Cause(held)); !strings.Contains(locked.Next, "could not renew its lock for 2") {
			t.Errorf("%+v", locked)
		}
		s.Allow()
		wantLocked(t, func() error { _, err := a.Save(t.Context(), stateOf(rollout.Progressing)); return err }())
	})
}

// A write whose answer got lost is repeated, finds its own work, and is no loss of the lock.
func TestLostAnswerIsNoLostLock(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		l := leaseIn(s)
		s.Add(l) // as if a write of ours had been stored: a newer version, the same holder
		if got := save(t, a, stateOf(rollout.Baking)); got.Phase != rollout.Baking {
			t.Errorf("%+v", got)
		}
	})
}

func TestDeletedLeaseIsALostLock(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		s.Remove("leases", "shop", cart().LeaseName())
		_, err := a.Save(t.Context(), stateOf(rollout.Progressing))
		if locked := wantLocked(t, err); !strings.Contains(locked.Next, "deleted") {
			t.Errorf("%+v", locked)
		}
	})
}

func TestTwoRunnersOneLock(t *testing.T) {
	s := fakekube.New()
	t.Cleanup(s.Close)
	won := make(chan error, 8)
	for i := range 8 {
		store := NewLeaseStore(client(t, &rest.Config{Host: s.URL}))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go func() {
			_, err := store.Acquire(ctx, cart(), Holder("ann", "box", i), "")
			won <- err
		}()
	}
	winners := 0
	for range 8 {
		if <-won == nil {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d runners hold the lock", winners)
	}
}

func TestListShowsWhatItCannotRead(t *testing.T) {
	s, c := serve(t)
	good, bad, none := newLease(cart()), newLease(policy.Target{Kind: "Service", Namespace: "shop", Name: "web"}), newLease(policy.Target{Kind: "Host", Namespace: "shop", Name: "x"})
	if err := good.store(stateOf(rollout.Baking)); err != nil {
		t.Fatal(err)
	}
	bad.annotate(annState, `{"version":99}`)
	s.Add(good.Unstructured, bad.Unstructured, none.Unstructured)
	list, err := NewLeaseStore(c).List(t.Context(), "")
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	phases := map[rollout.Phase]string{}
	for _, st := range list {
		phases[st.State.Phase] = st.State.Reason
	}
	if _, ok := phases[rollout.Baking]; !ok || !strings.Contains(phases[rollout.Failed], "newer meshpol") {
		t.Errorf("%v", phases)
	}
}

func TestTooLargeStateIsRefusedBeforeTheWrite(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *fakekube.Server, store func() *LeaseStore) {
		a := store()
		acquire(t, a, "ann@box/1", "")
		state := stateOf(rollout.Progressing)
		state.Reason = strings.Repeat("x", 40<<10)
		if _, err := a.Save(t.Context(), state); err == nil || !strings.Contains(err.Error(), "annotation may hold") {
			t.Errorf("%v", err)
		}
		if s.Count("PUT", "leases") != 0 {
			t.Error("something was written")
		}
	})
}

func TestForbiddenLeaseNamesTheRight(t *testing.T) {
	s, c := serve(t)
	s.Deny("create", "coordination.k8s.io", "leases", "shop")
	_, err := NewLeaseStore(c).Acquire(t.Context(), cart(), "ann@box/1", "")
	var rights *RightsError
	if !errors.As(err, &rights) || rights.Check() != "kubectl auth can-i create leases.coordination.k8s.io -n shop" {
		t.Fatalf("%v", err)
	}
}

func FuzzLeaseAnnotations(f *testing.F) {
	f.Add(`{"version":1,"phase":"Paused"}`, "abort")
	f.Add(`{"version":`, `{"verb":"x"}`)
	f.Fuzz(func(t *testing.T, state, request string) {
		l := newLease(cart())
		l.annotate(annState, state)
		l.annotate(annRequest, request)
		if s, err := l.state(); err == nil {
			if _, err := json.Marshal(s); err != nil {
				t.Errorf("a state that was read cannot be written: %v", err)
			}
		}
	})
}
