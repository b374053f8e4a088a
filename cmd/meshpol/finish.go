package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// letGoWithin is how long a run that was stopped by force may take to give its lock back.
const letGoWithin = 5 * time.Second

// finish is the end of a run as an error; nil where it succeeded.
func (s *session) finish(ctx context.Context, result rollout.Result, err error) error {
	switch {
	case err == nil:
		return resultError(result)
	case errors.Is(err, context.Canceled) && !result.Phase.Ended():
		s.letGo(ctx, result.State)
		return stoppedError(result)
	}
	return err
}

// stoppedError is for somebody who would not wait for the way back: it says what is left to do.
func stoppedError(r rollout.Result) error {
	name := r.State.Name + " -n " + r.State.Target.Namespace
	return &codeError{code: exitFailed, err: fmt.Errorf("stopped by force while the rollout was %s: what it wrote may still be in force; see it with: meshpol status %s; take it back with: meshpol rollback %s", r.Phase, name, name)}
}

// letGo gives the lock back, so that the next command need not wait until it is free by itself. Whoever takes it fences
// the objects first, so that a write which is still under way does no harm.
func (s *session) letGo(ctx context.Context, state rollout.State) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), letGoWithin)
	defer cancel()
	_ = s.store().Release(ctx, state.Target)
}
