package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// TestEndOfARun: whoever would not wait for the way back is told that there is one, and the lock is free at once.
func TestEndOfARun(t *testing.T) {
	cancelled := fmt.Errorf("writing: %w", context.Canceled)
	for name, c := range map[string]struct {
		phase rollout.Phase
		cause rollout.Cause
		err   error
		want  int
	}{
		"succeeded":             {rollout.Succeeded, "", nil, exitOK},
		"taken back":            {rollout.RolledBack, rollout.CauseBreach, nil, exitRolledBack},
		"another error":         {rollout.RollingBack, "", errors.New("broken"), exitInternal},
		"stopped on the way":    {rollout.Progressing, "", cancelled, exitFailed},
		"stopped going back":    {rollout.RollingBack, rollout.CausePerson, cancelled, exitFailed},
		"stopped when all over": {rollout.Succeeded, "", cancelled, exitAborted},
	} {
		t.Run(name, func(t *testing.T) {
			s := plannerOf(t).session
			target := policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"}
			hold(t, s.store(), target, rollout.RollingBack, false)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := s.finish(ctx, rollout.Result{Phase: c.phase, Cause: c.cause, State: rollout.State{Name: "a", Target: target}}, c.err)
			if got := exitCode(err); got != c.want {
				t.Errorf("exit code %d, want %d: %v", got, c.want, err)
			}
			_, lock, peeked := s.store().Peek(t.Context(), target)
			if free := lock.Holder == ""; peeked != nil || free != (c.want == exitFailed) {
				t.Errorf("the lock is held by %q (%v)", lock.Holder, peeked)
			}
			if c.want == exitFailed && !strings.Contains(err.Error(), "meshpol rollback a -n shop") {
				t.Errorf("it does not say how to go on: %v", err)
			}
		})
	}
}
