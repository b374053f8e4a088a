package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long acts may fail in a row. Forward it is longer than a restart of an API server takes; what is worse than that
// is taken back, and the way back has more patience, since nothing good comes after it.
const (
	forwardPatience = 2 * time.Minute
	backPatience    = 5 * time.Minute
	firstRetry      = 100 * time.Millisecond
	slowestRetry    = 2 * time.Second
)

// errGaveUp is the end of all tries.
var errGaveUp = errors.New("gave up")

// absorb turns an act's error into the way back where it is one, and waits a little where the cluster may come back.
// What it returns ends the run.
func (r *run) absorb(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errRequested):
		return nil
	case ctx.Err() != nil:
		return err
	case isLocked(err):
		return err
	}
	forward := r.state.Phase != RollingBack && !r.state.Phase.Ended() && r.state.Step < len(r.plan.Steps)
	if cause := causeOf(err); cause != "" && forward {
		r.takeBack(cause, err.Error())
		return nil
	}
	var marked *MarkedError
	if errors.As(err, &marked) {
		return err
	}
	return r.tryAgain(ctx, err, forward)
}

func (r *run) tryAgain(ctx context.Context, err error, forward bool) error {
	if r.tries++; r.tries == 1 {
		r.failing = time.Now()
	}
	lasted := time.Since(r.failing)
	switch {
	case forward && r.state.Phase == Paused:
		// Nobody is harmed by waiting on: the deadline ends it.
	case forward && lasted >= forwardPatience:
		r.failing, r.tries = time.Time{}, 0
		r.takeBack(CauseInternal, fmt.Sprintf("for %s: %v", lasted.Round(time.Second), err))
		return nil
	case !forward && lasted >= backPatience:
		return fmt.Errorf("%w after %s: %w", errGaveUp, lasted.Round(time.Second), err)
	}
	wait := min(slowestRetry, firstRetry<<min(r.tries-1, 10))
	if r.tries == 1 || wait == slowestRetry {
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("%v; trying again (%d)", err, r.tries)})
	}
	return r.waitOutside(ctx, wait)
}

// waitOutside waits between two tries; a signal ends the wait, so that it is seen at once.
func (r *run) waitOutside(ctx context.Context, d time.Duration) error {
	var interrupt <-chan struct{}
	if !r.facts.Interrupted {
		interrupt = r.Interrupt
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-interrupt:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// giveUp ends a run with an error. A way back that cannot be gone ends as Failed, which needs a person, and is stored
// where that is possible; everything else leaves the state for whoever resumes.
func (r *run) giveUp(ctx context.Context, err error) (Result, error) {
	var marked *MarkedError
	switch {
	case errors.As(err, &marked):
		r.letGo(ctx)
		return r.result(), err
	case !errors.Is(err, errGaveUp) || r.state.Phase != RollingBack:
		return r.result(), err
	}
	r.state.Phase = Failed
	r.state.Reason = fmt.Sprintf("it could not be taken back: %v; it was to be taken back because: %s", err, r.state.Reason)
	if err := r.save(ctx); err != nil {
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("the failure could not be stored: %v", err)})
	}
	r.letGo(ctx)
	r.emit(r.ended(Failed))
	return r.result(), nil
}

func isLocked(err error) bool {
	var locked *LockedError
	return errors.As(err, &locked)
}

// causeOf is why an act's error takes a rollout back; empty where it does not.
func causeOf(err error) Cause {
	var stragglers *StragglersError
	var rejected *RejectedError
	var conflict *ConflictError
	var refused *RefusedError
	var marked *MarkedError
	switch {
	case errors.As(err, &marked):
		return CauseLocked
	case errors.As(err, &stragglers):
		return CauseTimeout
	case errors.As(err, &rejected):
		return CauseBreach
	case errors.As(err, &conflict):
		return CauseEdited
	case errors.As(err, &refused):
		return CauseInternal
	}
	return ""
}
