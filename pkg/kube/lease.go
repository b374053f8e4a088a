package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

var _ rollout.Store = (*LeaseStore)(nil)

const (
	// watchEvery is how often a foreign lock is looked at for a sign of life.
	watchEvery = time.Second
	// saveTries bounds the merging of what others annotate while we save.
	saveTries = 8
)

// LeaseStore keeps lock and state of a target in one Lease. Every write carries the resourceVersion of the one before,
// so losing the lock and losing the right to write are one event.
type LeaseStore struct {
	cluster *Cluster
	// Waiting, where it is set, is told once that a lock is held and is being watched for a sign of life.
	Waiting func(policy.Target, rollout.Lock)

	mu   sync.Mutex
	held map[policy.Target]*held
}

// held is a lock of ours. Its own mutex makes saving, renewing and releasing one after the other.
type held struct {
	mu     sync.Mutex
	lease  lease
	holder string
	// renewed is when the last successful write was sent, on the clock that cannot jump.
	renewed time.Time
	// delivered is the request annotation as it was last handed to the runner.
	delivered string
	lost      error
}

// NewLeaseStore is a store in the cluster.
func NewLeaseStore(c *Cluster) *LeaseStore {
	return &LeaseStore{cluster: c, held: map[policy.Target]*held{}}
}

func (s *LeaseStore) client(namespace string) dynamic.ResourceInterface {
	r := s.cluster.dynamic.Resource(leaseResource())
	if namespace == "" {
		return r
	}
	return r.Namespace(namespace)
}

// read gives the lease of a target; nil where there is none.
func (s *LeaseStore) read(ctx context.Context, t policy.Target) (*lease, error) {
	obj, err := s.client(t.Namespace).Get(ctx, t.LeaseName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.cluster.explain("reading the lock of "+t.String(), err)
	}
	return &lease{obj}, nil
}

// Acquire takes the lock of a target and gives the state in it. A lock without a holder is free; a foreign one is
// watched for its time to live, on our own clock: one sign of life and it is a *rollout.LockedError, none and it is
// ours. With takeOver it is taken at once, and the reason is kept. Every change of hands raises State.Fence.
func (s *LeaseStore) Acquire(ctx context.Context, t policy.Target, holder, takeOver string) (rollout.State, error) {
	var seen sight
	for {
		l, err := s.read(ctx, t)
		if err != nil {
			return rollout.State{}, err
		}
		wait, err := s.judge(t, l, holder, takeOver, &seen)
		if err != nil {
			return rollout.State{}, err
		}
		if wait {
			if err := sleep(ctx, watchEvery); err != nil {
				return rollout.State{}, fmt.Errorf("watching the lock of %s, held by %s: %w", t, l.holder(), err)
			}
			continue
		}
		state, err := s.takeLease(ctx, t, l, holder, takeOver)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			continue
		}
		return state, s.cluster.explain("taking the lock of "+t.String(), err)
	}
}

// sight is what was first seen of a foreign lock, and when.
type sight struct {
	beat string
	at   time.Time
}

// judge tells whether to wait for a foreign lock. Its clock is ours alone: what counts is whether anything changes.
func (s *LeaseStore) judge(t policy.Target, l *lease, holder, takeOver string, seen *sight) (wait bool, err error) {
	if l == nil || l.holder() == "" || l.holder() == holder || takeOver != "" {
		return false, nil
	}
	switch {
	case seen.beat == "":
		*seen = sight{beat: l.beat(), at: time.Now()}
		if s.Waiting != nil {
			s.Waiting(t, l.lock())
		}
		return true, nil
	case seen.beat != l.beat():
		return false, lockedBy(t, *l)
	}
	return time.Since(seen.at) < l.ttl(), nil
}

func lockedBy(t policy.Target, l lease) error {
	lock := l.lock()
	state, _ := l.state() // one that cannot be read has no name to show; whoever takes the lock is told why
	return &rollout.LockedError{What: t.String(), Holder: orElse(lock.Holder, "nobody"), Renewed: lock.Renewed, Next: rollout.LockedNext(state)}
}

// takeLease writes our name into a lease, or makes one.
func (s *LeaseStore) takeLease(ctx context.Context, t policy.Target, live *lease, holder, takeOver string) (rollout.State, error) {
	next := newLease(t)
	if live != nil {
		next = live.clone()
	}
	state, err := next.state()
	if err != nil {
		return state, err
	}
	sent := time.Now()
	if takeOver != "" && live != nil && live.holder() != "" && live.holder() != holder {
		next.annotate(annTakeover, fmt.Sprintf("%s from %s at %s: %s", holder, live.holder(), sent.UTC().Format(time.RFC3339), takeOver))
	}
	next.take(holder, sent)
	stored, err := s.put(ctx, t, next, live == nil)
	if err != nil {
		return rollout.State{}, err
	}
	state.Fence = max(state.Fence, stored.transitions())
	s.mu.Lock()
	s.held[t] = &held{lease: stored, holder: holder, renewed: sent, delivered: stored.GetAnnotations()[annRequest]}
	s.mu.Unlock()
	return state, nil
}

func (s *LeaseStore) put(ctx context.Context, t policy.Target, l lease, create bool) (lease, error) {
	client := s.client(t.Namespace)
	if create {
		obj, err := client.Create(ctx, l.Unstructured, metav1.CreateOptions{FieldManager: FieldManager})
		return lease{obj}, err
	}
	obj, err := client.Update(ctx, l.Unstructured, metav1.UpdateOptions{FieldManager: FieldManager})
	return lease{obj}, err
}

func (s *LeaseStore) ours(t policy.Target) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[t]
}

// Save writes the state and renews the lock in one write, and gives the state as stored: with the request of a person
// that came meanwhile. A request stays until a Save with an empty State.Request follows one that gave it out.
func (s *LeaseStore) Save(ctx context.Context, state rollout.State) (rollout.State, error) {
	h := s.ours(state.Target)
	if h == nil {
		return state, notHeld(state.Target)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := s.write(ctx, state.Target, h, func(l lease) error { return h.fill(l, &state) }); err != nil {
		return state, err
	}
	h.delivered = h.lease.GetAnnotations()[annRequest]
	if r := h.lease.request(); r.Verb != "" {
		state.Request = r.Verb
	}
	return state, nil
}

// fill puts a state into a lease. The request annotation goes where the runner has seen it and answered.
func (h *held) fill(l lease, state *rollout.State) error {
	state.Fence = max(state.Fence, l.transitions())
	if now := l.GetAnnotations()[annRequest]; state.Request == "" && now == h.delivered {
		l.annotate(annRequest, "")
	}
	return l.store(*state)
}

func notHeld(t policy.Target) error {
	return &rollout.LockedError{What: t.String(), Holder: "nobody we know", Next: "the lock is not held by this run: run the command again"}
}

// write edits our lease and renews it. A conflict that leaves the lock ours (somebody annotated the Lease) is merged;
// one that does not is the end of the lock. The caller holds h.mu.
func (s *LeaseStore) write(ctx context.Context, t policy.Target, h *held, edit func(lease) error) error {
	if h.lost != nil {
		return h.lost
	}
	for try := 1; ; try++ {
		next := h.lease.clone()
		if err := edit(next); err != nil {
			return err
		}
		sent := time.Now()
		next.set("renewTime", sent.UTC().Format(microTime))
		stored, err := s.put(ctx, t, next, false)
		if err == nil {
			h.lease, h.renewed = stored, sent
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) || try == saveTries {
			return s.cluster.explain("saving the state of "+t.String(), err)
		}
		if err := s.refresh(ctx, t, h); err != nil {
			return err
		}
	}
}

// refresh reads our lease again after a conflict and notices when it is ours no more.
func (s *LeaseStore) refresh(ctx context.Context, t policy.Target, h *held) error {
	live, err := s.read(ctx, t)
	switch {
	case err != nil:
		return err
	case live == nil:
		h.lost = &rollout.LockedError{What: t.String(), Holder: "nobody", Next: "its Lease was deleted while this run held it"}
	case live.holder() != h.holder || live.transitions() != h.lease.transitions():
		h.lost = lockedBy(t, *live)
	default:
		h.lease = *live
	}
	return h.lost
}

// Release gives the lock up and leaves the state. A lock that is not ours is left alone.
func (s *LeaseStore) Release(ctx context.Context, t policy.Target) error {
	h := s.ours(t)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		err := s.write(ctx, t, h, func(l lease) error {
			l.set("holderIdentity", "")
			l.set("leaseDurationSeconds", int64(1))
			return nil
		})
		if err != nil && h.lost == nil {
			return fmt.Errorf("giving up the lock: %w", err)
		}
	}
	h.lost = orError(h.lost, notHeld(t))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, t)
	return nil
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
