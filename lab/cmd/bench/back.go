package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// back interrupts rollouts in the middle of a step and measures the way from the decision to the last proxy.
func (b *bench) back(ctx context.Context, load *trial.Load) error {
	w, err := startWatch(ctx, b.name, b.podNames(), seldom/2, false)
	if err != nil {
		return err
	}
	began := time.Now()
	var runs []*trial.Run
	for range b.backs {
		r, runErr := b.interrupted(ctx)
		if err = runErr; err != nil {
			break
		}
		runs = append(runs, r)
	}
	if stopped := w.end(); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	b.waysBack(runs, w)
	return b.harm(ctx, load, "errors of clients, policies taken back", began, runs, fmt.Sprintf("in %d rollouts that were taken back in the middle of a step", len(runs)))
}

// interrupted is a rollout that gets a signal some time after its second step was proved.
func (b *bench) interrupted(ctx context.Context) (*trial.Run, error) {
	file, err := b.timeout(longTimeout)
	if err != nil {
		return nil, err
	}
	proved := make(chan struct{}, 100)
	args := append(brief("rollout", "-f", file, "--steps", "25,50", "--no-analysis", "--on-signal", "rollback"), "--step-min", "30s", "--step-max", "60s")
	r, err := b.lab.Start(ctx, func(e trial.Event) {
		if e.Event == "proved" {
			proved <- struct{}{}
		}
	}, args...)
	if err != nil {
		return nil, err
	}
	for range 2 {
		select {
		case <-proved:
		case <-time.After(time.Minute):
			_ = r.Signal(os.Kill)
			return nil, fmt.Errorf("two steps were not proved within a minute; it said:\n%s%s", r.Wait().Stderr, lastEvents(r))
		}
	}
	time.Sleep(300*time.Millisecond + rand.N(700*time.Millisecond)) //nolint:gosec // no secret
	if err := r.Signal(os.Interrupt); err != nil {
		return nil, fmt.Errorf("interrupting meshpol: %w", err)
	}
	return r, wantedExit(r.Wait(), 5)
}

func (b *bench) waysBack(runs []*trial.Run, w *watch) {
	var decided, lost, proved []time.Duration
	early, unseen := 0, 0
	for _, r := range runs {
		for _, x := range writesOf(r) {
			if x.decided.IsZero() {
				continue
			}
			last, missing := w.reached(x)
			decided = append(decided, x.proved.Sub(x.decided))
			if len(missing) > 0 {
				unseen++
				b.report.remark("unseen: %s", w.around(x))
				continue
			}
			if x.proved.Before(last) {
				early++
				b.report.remark("early: %s", w.around(x))
			}
			lost, proved = append(lost, last.Sub(x.decided)), append(proved, x.proved.Sub(last))
		}
	}
	const group = "way back"
	b.report.sample(group, "decision → last proxy has lost the new policy", "s", secondsOf(lost), 0, "")
	b.report.sample(group, "last proxy has lost it → proved", "s", secondsOf(proved), 0.2, "")
	b.report.sample(group, "decision → neutralised and proved", "s", secondsOf(decided), 1.5, "")
	b.report.zero(group, "proofs that came before the last proxy had lost it", len(lost), early, "")
	b.report.zero(group, "writes that a proxy was not seen to take", len(lost)+unseen, unseen, "")
}
