package rollout

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A write is begun within renewEvery of a renewal of the lock and given up after callTimeout, so that it has ended long
// before the Lease's 30 s are over and somebody else may write. An act that only reads goes on without renewals for
// lockPatience.
const (
	renewEvery   = 5 * time.Second
	callTimeout  = 10 * time.Second
	lockPatience = 20 * time.Second
)

// save stores the state, renews the lock and takes a person's request from the Lease.
func (r *run) save(ctx context.Context) error {
	sent := time.Now()
	r.state.Updated = sent
	r.state.Exposed = r.inForce()
	r.keepTrip()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stored, err := r.Store.Save(ctx, r.state.fitted())
	if err != nil {
		return fmt.Errorf("saving the state of rollout %s: %w", r.plan.Name, err)
	}
	r.state.Request, r.state.Fence = stored.Request, max(r.state.Fence, stored.Fence)
	r.renewed, r.unsaved = sent, false
	return nil
}

// letGo gives the lock up. A Lease that cannot be given up is free by itself soon.
func (r *run) letGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.Store.Release(ctx, r.plan.Change.Target); err != nil {
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("giving up the lock: %v", err)})
	}
}

// stillOurs renews the lock where the last renewal is not of just now. Nothing of the cluster is written without it.
func (r *run) stillOurs(ctx context.Context) error {
	if time.Since(r.renewed) < renewEvery {
		return nil
	}
	return r.save(ctx)
}

// get reads an object.
func (r *run) get(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.Objects.Get(ctx, ref)
}

// put writes an object under a lock that is surely ours, and tells it.
func (r *run) put(ctx context.Context, op Op, obj *unstructured.Unstructured, why string) (*unstructured.Unstructured, error) {
	if err := r.stillOurs(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := r.Objects.Write(ctx, op, obj, false)
	if err != nil {
		return nil, err
	}
	ref := RefOf(obj)
	r.versions[ref] = ""
	if op != Delete && out != nil {
		r.versions[ref] = out.GetResourceVersion()
	}
	r.emit(Wrote{Head: r.head(), Object: ref, Op: op, Why: why})
	return out, nil
}

// stopped is why keep ended an act early.
type stopped struct{ cause error }

func (e *stopped) Error() string { return e.cause.Error() }

// Unwrap is the lost lock, errRequested, or the error of a lock that could not be renewed.
func (e *stopped) Unwrap() error { return e.cause }

// keep runs an act that writes nothing, and renews the lock meanwhile. A signal, a person's request or the tripwire ends
// it early with errRequested, a lost lock with the *LockedError, each in a *stopped. The act runs beside the loop and must not
// touch the run.
func (r *run) keep(ctx context.Context, act func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- act(ctx) }()
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	interrupt, tripping := r.Interrupt, r.tripping()
	if r.facts.Interrupted || r.state.Phase == RollingBack {
		interrupt = nil
	}
	for {
		select {
		case err := <-done:
			if cause := context.Cause(ctx); cause != nil && err != nil {
				return &stopped{cause}
			}
			return err
		case <-interrupt:
			interrupt = nil
			cancel(errRequested)
		case <-tripping:
			tripping = nil
			cancel(errRequested)
		case <-tick.C:
			if err := r.renewWhile(ctx); err != nil {
				cancel(err)
			}
		}
	}
}

// renewWhile renews the lock beside an act and says why the act should end.
func (r *run) renewWhile(ctx context.Context) error {
	err := r.save(ctx)
	switch {
	case err == nil && heeds(r.plan, r.state, r.state.Request):
		return errRequested
	case err == nil, !isLocked(err) && time.Since(r.renewed) < lockPatience:
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
