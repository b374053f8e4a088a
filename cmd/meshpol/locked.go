package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/validate"
)

// The findings that another rollout leaves on an object while it is at work.
const (
	codeInHand    = "MP404"
	codeLeftovers = "MP455"
)

// locked tells apart from policies that are wrong those that only have to wait: where nothing but the names of another
// rollout is in the way, and that rollout has the object in hand, the exit code is that of a lock.
func (p *planner) locked(ctx context.Context, findings []printer.FindingView) error {
	i := slices.IndexFunc(findings, func(f printer.FindingView) bool { return f.Code == codeInHand })
	if i < 0 || foundErrors(findings) == nil || slices.ContainsFunc(findings, isOtherError) {
		return nil
	}
	for _, t := range p.targets() {
		state, lock, err := p.session.store().Peek(ctx, t)
		switch {
		case err != nil:
			return err
		case state.Phase.Ended():
		case alive(lock, time.Now()):
			return &rollout.LockedError{What: t.String(), Holder: lock.Holder, Renewed: lock.Renewed, Next: rollout.LockedNext(state)}
		default:
			return &rollout.UnfinishedError{State: state}
		}
	}
	return &codeError{code: exitLocked, err: fmt.Errorf("%s; %s", findings[i].Message, findings[i].Next)}
}

func isOtherError(f printer.FindingView) bool {
	return f.Severity == string(validate.Error) && f.Code != codeLeftovers
}
