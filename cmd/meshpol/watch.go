package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const (
	// lookEvery is how often a rollout that others run is looked at.
	lookEvery = time.Second
	// blindFor is how long the cluster may fail to answer before nobody watches any more.
	blindFor = 2 * time.Minute
)

// watcher follows one rollout that others run.
type watcher struct {
	app     *app
	session *session
	of      rollout.StoredState
	// shown is when the state that was shown last was stored.
	shown time.Time
	// blind is since when the cluster does not answer.
	blind time.Time
}

// watch prints the status whenever it changes, until the rollout has ended; then it gives the rollout's own error.
func (w *watcher) watch(ctx context.Context, timeout time.Duration) error {
	signalled := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	for {
		over, err := w.look(ctx)
		if ctx.Err() != nil {
			return w.stopped(signalled, timeout)
		}
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return w.stopped(signalled, timeout)
		case <-time.After(lookEvery):
		}
	}
}

// stopped says why nobody watches any more, though the rollout goes on.
func (w *watcher) stopped(signalled context.Context, timeout time.Duration) error {
	s := w.of.State
	if signalled.Err() != nil {
		return &codeError{code: exitAborted, err: fmt.Errorf("watching rollout %s: interrupted by a signal; the rollout itself goes on", s.Name)}
	}
	return &codeError{code: exitTimeout, err: fmt.Errorf("watching rollout %s: not ended within %s, it is %s; the rollout itself goes on", s.Name, timeout, s.Phase)}
}

// look reads the rollout once, shows what is new, and tells whether that was the last time.
func (w *watcher) look(ctx context.Context) (over bool, err error) {
	state, lock, err := w.session.store().Peek(ctx, w.of.State.Target)
	if err != nil {
		return false, w.unseen(err)
	}
	w.blind = time.Time{}
	if state.Rev != w.of.State.Rev {
		return true, fmt.Errorf("watching rollout %s: it is no longer in the cluster; see meshpol status -n %s", w.of.State.Name, w.of.State.Target.Namespace)
	}
	w.of = rollout.StoredState{State: state, Lock: lock}
	over = state.Phase.Ended() || state.Phase == rollout.Failed || (state.Phase == rollout.Paused && lock.Holder == "")
	if err := w.show(over); err != nil {
		return true, err
	}
	if !over {
		return false, nil
	}
	return true, resultError(rollout.Result{Phase: state.Phase, Cause: state.Cause, Reason: state.Reason})
}

// unseen is for a cluster that does not answer: it may be back soon.
func (w *watcher) unseen(err error) error {
	var away *kube.UnreachableError
	if !errors.As(err, &away) {
		return err
	}
	if w.blind.IsZero() {
		w.blind = time.Now()
		w.app.warn("%v; still watching", err)
	}
	if time.Since(w.blind) > blindFor {
		return err
	}
	return nil
}

// show prints what has changed. One document for programs means that it is the last one.
func (w *watcher) show(last bool) error {
	format := w.app.format()
	whole := format == printer.JSON || format == printer.YAML
	if whole && !last || !whole && !w.of.State.Updated.After(w.shown) {
		return nil
	}
	w.shown = w.of.State.Updated
	return w.app.answers().Status(printer.StatusView{StoredState: w.of}, time.Now())
}
