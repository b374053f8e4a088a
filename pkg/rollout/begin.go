package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Begin opens a rollout of a plan that bears its rev: it takes the Lease, rehearses every write, keeps the record and
// stores the first state. Nothing of the mesh is written. An unfinished rollout of the target is an *UnfinishedError,
// a live runner a *LockedError.
func (x Executor) Begin(ctx context.Context, p *Plan, holder string, started time.Time) (State, error) {
	before, err := x.Store.Acquire(ctx, p.Change.Target, holder, "")
	if err != nil {
		return State{}, err
	}
	s, err := x.open(ctx, p, before, started)
	if err == nil {
		return s, nil
	}
	// The lock goes back even where ctx has ended: nobody should wait for a rollout that never began.
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if released := x.Store.Release(free, p.Change.Target); released != nil {
		return State{}, fmt.Errorf("%w (and giving the Lease back: %w)", err, released)
	}
	return State{}, err
}

func (x Executor) open(ctx context.Context, p *Plan, before State, started time.Time) (State, error) {
	if !before.Phase.Ended() {
		return State{}, &UnfinishedError{State: before}
	}
	began := time.Now()
	seen, err := x.rehearse(ctx, p)
	if err != nil {
		return State{}, err
	}
	head := Head{At: time.Now(), Rollout: p.Name, Target: p.Change.Target}
	x.Sink.Emit(Rehearsed{Head: head, Writes: seen.count, Took: time.Since(began)})
	s := firstState(p, before, started)
	s.Forms = seen.forms
	if err := x.closeOrphans(ctx, p.Change.Target); err != nil {
		return State{}, err
	}
	if s.Revision, err = x.Archive.Put(ctx, p.Change.Target, p.record(started)); err != nil {
		return State{}, err
	}
	return x.Store.Save(ctx, s)
}

// closeOrphans closes records of runs that died between their record and their first state: the target is locked and
// its last rollout has ended, so that none is running.
func (x Executor) closeOrphans(ctx context.Context, target policy.Target) error {
	records, err := x.Archive.Records(ctx, target)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Result != resultRunning {
			continue
		}
		if err := x.Archive.Close(ctx, target, r.Revision, resultRolledBack, "it never began", nil); err != nil {
			return err
		}
	}
	return nil
}

func firstState(p *Plan, before State, started time.Time) State {
	s := State{
		Version: StateVersion, Name: p.Name, Target: p.Change.Target, Strategy: p.Strategy, Rev: p.Change.Rev, Digest: p.Digest,
		Phase: PhaseAt(p, 0), Steps: len(p.Steps), Started: started, Updated: started, Fence: before.Fence + 1,
		Before: before.Runs(started),
	}
	for _, pol := range p.Change.Policies {
		s.Policies = append(s.Policies, pol.Key)
	}
	if p.Settings.Deadline > 0 {
		s.Deadline = started.Add(p.Settings.Deadline)
	}
	return s
}

// mostRuns bounds how many rollouts a state remembers.
const mostRuns = 30

// Runs are the times of this rollout and of those before it that a history read now may meet: what failed in them was
// the new policy's, and is no part of what is usual.
func (s State) Runs(now time.Time) []metrics.Span {
	all := slices.Clone(s.Before)
	switch {
	case s.Phase == "":
		return nil
	case s.Phase.Ended():
		all = append(all, metrics.Span{From: s.Started, To: s.Updated})
	default:
		all = append(all, metrics.Span{From: s.Started, To: now})
	}
	all = slices.DeleteFunc(all, func(span metrics.Span) bool { return now.Sub(span.To) > metrics.HistoryLength })
	return all[max(0, len(all)-mostRuns):]
}

// record is what the archive keeps of the plan.
func (p *Plan) record(started time.Time) Record {
	r := Record{
		Result: resultRunning, Name: p.Name, Strategy: p.Strategy, Host: p.Host, Digest: p.Digest, Rev: p.Change.Rev,
		Documents: p.Documents, Settings: p.Settings, Absent: p.Absent, Started: started, Steps: p.Asked,
	}
	for _, o := range p.Base {
		r.Base = append(r.Base, o.Object)
	}
	return r
}
