package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// brief makes steps as short as they may be.
func brief(args ...string) []string {
	return append(args, "--step0-min", "1s", "--step0-max", "30s", "--step-min", "1s", "--step-max", "30s", "--bake", "1s", "--fold-watch", "1s", "--tick", "1s")
}

// good rolls harmless policies out and back until there were enough steps, and looks for anything that a client did
// not like. Timeouts go out by request; breakers by client pod, and each of them is taken back afterwards.
func (b *bench) good(ctx context.Context, load *trial.Load) error {
	w, err := startWatch(ctx, b.name, b.podNames(), seldom, false)
	if err != nil {
		return err
	}
	began := time.Now()
	runs, err := b.goodRuns(ctx)
	if stopped := w.end(); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	b.barriers("proofs", runs, w)
	steps, writes := 0, 0
	for _, r := range runs {
		steps += len(r.Named("stepPassed"))
		writes += len(r.Named("wrote"))
	}
	return b.harm(ctx, load, "errors of clients, policies going out", began, runs, fmt.Sprintf("in %d steps and %d writes of %d rollouts and rollbacks", steps, writes, len(runs)))
}

func (b *bench) goodRuns(ctx context.Context) ([]*trial.Run, error) {
	var runs []*trial.Run
	steps := 0
	for round := 0; steps < b.steps; round++ {
		timeout, err := b.timeout(longTimeout + round%2)
		if err != nil {
			return nil, err
		}
		breaker, err := b.breaker(300 + round)
		if err != nil {
			return nil, err
		}
		for _, args := range [][]string{
			brief("rollout", "-f", timeout, "--steps", "10,25,50", "--no-analysis"),
			append(brief("rollout", "-f", breaker, "--steps", "25,50", "--by", "instance", "--on-inconclusive", "promote"), "--step-max", "3s"),
			{"rollback", "cart-breaker", "-n", trial.Namespace},
		} {
			r, err := b.meshpol(ctx, 0, args...)
			if err != nil {
				return nil, err
			}
			runs, steps = append(runs, r), steps+len(r.Named("stepPassed"))
		}
		progress("%d of %d steps", steps, b.steps)
	}
	return runs, nil
}

// harm counts what went wrong for the clients since a moment, by their own records and by their Envoys' logs.
func (b *bench) harm(ctx context.Context, load *trial.Load, group string, since time.Time, runs []*trial.Run, where string) error {
	until := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(flushed):
	}
	log, err := load.Records(ctx)
	if err != nil {
		return err
	}
	in := referee.Interval{From: since, Until: until}
	calls, err := b.calls(in)
	if err != nil {
		return err
	}
	records := referee.Between(log.Records, in)
	tally := referee.Count(records, referee.Bad)
	rate := float64(tally.Total) / until.Sub(since).Seconds()
	b.report.zero(group, "errors that clients saw", tally.Total, tally.Bad, fmt.Sprintf("%s, %.0f requests/s", where, rate))
	b.report.zero(group, "requests with an error or a flag in the Envoys' logs", len(calls), bad(calls), classes(calls))
	b.explain(log, records, calls, runs)
	b.strays(group, calls, runs)
	return nil
}

// strays counts requests that were routed otherwise than the steps say, from the proof of each step to its end.
func (b *bench) strays(group string, calls []call, runs []*trial.Run) {
	ids, wrongIDs, pods, wrongPods := 0, 0, 0, 0
	for _, r := range runs {
		for _, step := range r.Steps() {
			if step.By == "request" && !step.To.IsZero() {
				p := place(callsIn(calls, referee.Interval{From: step.From, Until: step.To}))
				ids, wrongIDs = ids+p.total, wrongIDs+p.misplaced+p.stale
			}
		}
		n, misplaced := placePods(calls, r)
		pods, wrongPods = pods+n, wrongPods+misplaced
	}
	b.report.zero(group, "requests on another route than their id says", ids, wrongIDs, "every request of every step by request, from its proof to its end")
	if pods > 0 {
		b.report.zero(group, "requests on another route than their pod's label says", pods, wrongPods, "the same by instance")
	}
}

func bad(calls []call) int {
	n := 0
	for _, c := range calls {
		n += one(!c.ok())
	}
	return n
}

// classes counts the calls that were not well by code and flags.
func classes(calls []call) string {
	count := map[string]int{}
	for _, c := range calls {
		if !c.ok() {
			count[fmt.Sprintf("%d %s", c.code, c.flags)]++
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%s: %d", k, count[k]))
	}
	return strings.Join(out, ", ")
}

// explained is how many errors are told one by one.
const explained = 20

// explain tells each error with what meshpol did last before it.
func (b *bench) explain(log referee.Log, records []referee.Record, calls []call, runs []*trial.Run) {
	told := 0
	for _, r := range records {
		if referee.Bad(r) && told < explained {
			told++
			b.report.remark("error: client %s at %s, %s after %s; %s", log.Clients[r.Client], clock(r.Start()), r.Outcome, r.FromStart(), lastAct(runs, r.Start()))
		}
	}
	told = 0
	for _, c := range calls {
		if !c.ok() && told < explained {
			told++
			b.report.remark("logged: %s at %s, %d %s after %s on route %s; %s", c.pod, clock(c.start), c.code, c.flags, c.took, c.route, lastAct(runs, c.start))
		}
	}
}

// lastAct is the last event of meshpol before a moment.
func lastAct(runs []*trial.Run, at time.Time) string {
	text := "before the first event"
	for _, r := range runs {
		for _, e := range r.Events() {
			if e.At.After(at) {
				return text
			}
			text = fmt.Sprintf("%s after %s %s", at.Sub(e.At).Round(time.Millisecond), e.Event, e.Text("why")+e.Text("name"))
		}
	}
	return text
}
