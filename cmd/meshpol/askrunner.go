package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// askEvery is how often a runner that was asked is looked at.
const askEvery = 500 * time.Millisecond

// askRunner leaves the request on the Lease and waits until the runner has answered it. over tells that nothing is left
// to be done; otherwise the runner has gone, or the rollout had succeeded before it saw the request.
func (b *back) askRunner(ctx context.Context) (over bool, err error) {
	signalled := ctx
	ctx, cancel := context.WithTimeout(ctx, b.flags.wait)
	defer cancel()
	store, target := b.session.store(), b.of.State.Target
	if err := store.Ask(ctx, target, rollout.RequestAbort); err != nil {
		return false, err
	}
	b.app.say("%s was asked to take rollout %s back; waiting up to %s; where it gives no sign of life for %s it is done from here (at once: --take-over \"WHY\")",
		b.of.Lock.Holder, b.of.State.Name, b.flags.wait, b.of.Lock.TTL)
	var seen sight
	for {
		state, lock, err := store.Peek(ctx, target)
		switch {
		case ctx.Err() != nil:
			return true, b.unanswered(signalled)
		case err != nil:
			return true, err
		case state.Phase.Ended() || state.Phase == rollout.Failed:
			return b.answered(state)
		case lock.Holder == "":
			return false, nil
		case seen.silent(lock, time.Now()):
			b.flags.takeOver = "no sign of life for " + lock.TTL.String()
			return false, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(askEvery):
		}
	}
}

// sight is the last sign of life of a lock's holder, and when this machine first saw it.
type sight struct {
	renewed, at time.Time
}

// silent tells whether no sign of life has come for the lock's time; clocks of other machines do not count.
func (s *sight) silent(l rollout.Lock, now time.Time) bool {
	if !l.Renewed.Equal(s.renewed) {
		*s = sight{renewed: l.Renewed, at: now}
	}
	return now.Sub(s.at) > l.TTL
}

// answered is what the runner made of the request.
func (b *back) answered(state rollout.State) (over bool, err error) {
	b.of.State = state
	if state.Phase.Ended() && state.Phase != rollout.RolledBack {
		return false, goesBack(state, b.flags)
	}
	b.app.concluded(rollout.Result{Phase: state.Phase, Cause: state.Cause, Reason: state.Reason, State: state})
	if state.Phase == rollout.RolledBack {
		b.app.say("rollout %s was taken back by its runner: %s; in force now: the old policy", state.Name, state.Reason)
		return true, nil
	}
	return true, &codeError{code: exitFailed, err: fmt.Errorf("taking rollout %s back: its runner gave up: %s", state.Name, state.Reason)}
}

// unanswered says that nobody waits any more; the request stays with the runner.
func (b *back) unanswered(signalled context.Context) error {
	if signalled.Err() != nil {
		return &codeError{code: exitAborted, err: fmt.Errorf("waiting for %s: interrupted by a signal; the runner still has the request, see: meshpol status %s -n %s", b.of.Lock.Holder, b.of.State.Name, b.of.State.Target.Namespace)}
	}
	return &codeError{code: exitTimeout, err: fmt.Errorf("the runner %s has not taken it back in %s; if it hangs: meshpol rollback %s -n %s --take-over \"WHY\"", b.of.Lock.Holder, b.flags.wait, b.of.State.Name, b.of.State.Target.Namespace)}
}
