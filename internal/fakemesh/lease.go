package fakemesh

import (
	"context"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// lease is lock and state of one target, as they lie in the API server: the state is encoded.
type lease struct {
	target      policy.Target
	holder      string
	renewed     time.Time
	transitions int64
	state       string
	request     string
}

func (l *lease) decode() (rollout.State, error) {
	var s rollout.State
	if l.state != "" {
		var err error
		if s, err = rollout.DecodeState(l.state); err != nil {
			return s, err
		}
	}
	if l.request != "" {
		s.Request = l.request
	}
	return s, nil
}

func (w *World) lease(t policy.Target) *lease {
	l := w.leases[t.String()]
	if l == nil {
		l = &lease{target: t}
		w.leases[t.String()] = l
	}
	return l
}

// Acquire implements rollout.Store.
func (n *Node) Acquire(ctx context.Context, t policy.Target, holder, takeOver string) (out rollout.State, err error) {
	err = n.do(ctx, "acquire", t.String(), func() (err error) {
		l := n.World.lease(t)
		if l.holder != "" && l.holder != holder && takeOver == "" && time.Since(l.renewed) < n.World.TTL {
			return &rollout.LockedError{What: t.String(), Holder: l.holder, Renewed: l.renewed}
		}
		l.holder, l.renewed = holder, time.Now()
		l.transitions++
		n.held[t.String()], n.seen[t.String()] = l.transitions, l.request
		out, err = l.decode()
		return err
	})
	return out, err
}

// Save implements rollout.Store.
func (n *Node) Save(ctx context.Context, s rollout.State) (out rollout.State, err error) {
	t := s.Target.String()
	err = n.do(ctx, "save", string(s.Phase), func() error {
		l := n.World.lease(s.Target)
		if l.holder != n.Name || l.transitions != n.held[t] {
			return &rollout.LockedError{What: t, Holder: l.holder, Renewed: l.renewed}
		}
		text, err := s.Encode()
		if err != nil {
			return err
		}
		if s.Request == "" && l.request == n.seen[t] {
			l.request = ""
		}
		l.state, l.renewed = text, time.Now()
		n.seen[t] = l.request
		out = s
		if l.request != "" {
			out.Request = l.request
		}
		return nil
	})
	return out, err
}

// Ask implements rollout.Store.
func (n *Node) Ask(ctx context.Context, t policy.Target, request string) error {
	return n.do(ctx, "ask", request, func() error {
		n.World.lease(t).request = request
		return nil
	})
}

// Release implements rollout.Store.
func (n *Node) Release(ctx context.Context, t policy.Target) error {
	return n.do(ctx, "release", t.String(), func() error {
		if l := n.World.lease(t); l.holder == n.Name && l.transitions == n.held[t.String()] {
			l.holder = ""
		}
		delete(n.held, t.String())
		return nil
	})
}

// Peek implements rollout.Store.
func (n *Node) Peek(ctx context.Context, t policy.Target) (out rollout.State, lock rollout.Lock, err error) {
	err = n.do(ctx, "peek", t.String(), func() (err error) {
		l := n.World.lease(t)
		lock = rollout.Lock{Holder: l.holder, Renewed: l.renewed, TTL: n.World.TTL}
		out, err = l.decode()
		return err
	})
	return out, lock, err
}

// List implements rollout.Store.
func (n *Node) List(ctx context.Context, namespace string) (out []rollout.StoredState, err error) {
	err = n.do(ctx, "list", namespace, func() error {
		for _, l := range n.World.leases {
			if namespace != "" && l.target.Namespace != namespace {
				continue
			}
			s, err := l.decode()
			if err != nil {
				return err
			}
			out = append(out, rollout.StoredState{State: s, Lock: rollout.Lock{Holder: l.holder, Renewed: l.renewed, TTL: n.World.TTL}})
		}
		return nil
	})
	return out, err
}

// Stored is the state of a target and who holds its lease.
func (w *World) Stored(t policy.Target) (rollout.State, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lease(t)
	s, err := l.decode()
	return s, l.holder, err
}

// Ask leaves a person's request.
func (w *World) Ask(t policy.Target, request string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lease(t).request = request
}

// Seize gives the lease of a target to somebody else at once.
func (w *World) Seize(t policy.Target, holder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lease(t)
	l.holder, l.renewed = holder, time.Now()
	l.transitions++
}

// Free tells whether nobody holds the lease of a target, or its holder has given no sign of life for too long.
func (w *World) Free(t policy.Target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.lease(t)
	return l.holder == "" || time.Since(l.renewed) >= w.TTL
}
