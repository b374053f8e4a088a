package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// shareCount is what was seen of one share over all rollouts.
type shareCount struct {
	name               string
	byClients, byEnvoy []float64
	clients, envoys    referee.Share
}

// shares rolls a timeout out with analysis and counts, step by step, who met it: by the timeout that the server was
// told, as the clients know it from the answer, and by the route that the client's own Envoy logged. Meanwhile all
// proxies are read every 20 ms, which shows what their own word is worth and what reading costs.
func (b *bench) shares(ctx context.Context, load *trial.Load) error {
	w, err := startWatch(ctx, b.name, b.podNames(), often, true)
	if err != nil {
		return err
	}
	runs, peaks, err := b.shareRuns(ctx)
	if stopped := w.end(); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(flushed):
	}
	if err := b.countShares(ctx, load, runs); err != nil {
		return err
	}
	b.barriers("proofs, proxies read every 20 ms", runs, w)
	b.report.sample("proofs, proxies read every 20 ms", "a proxy's own word (last_updated) → first reading that shows it", "s", secondsOf(w.lags()), 0, "")
	b.report.sample("proofs, proxies read every 20 ms", "one reading", "s", secondsOf(w.costs), 0, fmt.Sprintf("%d readings of %d proxies", len(w.costs), len(b.pods)))
	b.report.zero("proofs, proxies read every 20 ms", "contents that changed without a new last_updated", len(w.costs), w.untold, "")
	b.report.sample("time and memory", "memory of a rollout with analysis, highest", "MB", peaks, 200, "")
	return nil
}

func (b *bench) shareRuns(ctx context.Context) (runs []*trial.Run, peaks []float64, err error) {
	hold := b.hold.String()
	for range b.repeat {
		if err := b.lab.Clear(ctx); err != nil {
			return nil, nil, err
		}
		file, err := b.timeout(longTimeout)
		if err != nil {
			return nil, nil, err
		}
		r, peak, err := b.weighed(ctx, "rollout", "-f", file, "--steps", "1,5,10,25,50", "--step0-min", "8s", "--step0-max", "60s",
			"--step-min", hold, "--step-max", "90s", "--bake", hold, "--fold-watch", "4s", "--tick", "5s", "--on-inconclusive", "promote")
		if err != nil {
			return nil, nil, err
		}
		runs, peaks = append(runs, r), append(peaks, peak)
	}
	return runs, peaks, nil
}

func (b *bench) countShares(ctx context.Context, load *trial.Load, runs []*trial.Run) error {
	log, err := load.Records(ctx)
	if err != nil {
		return err
	}
	calls, err := b.calls(referee.Interval{From: runs[0].Started})
	if err != nil {
		return err
	}
	var all []*shareCount
	var sum placement
	for _, r := range runs {
		for _, step := range r.Steps() {
			if step.By != "request" || step.To.IsZero() {
				continue
			}
			in := referee.Interval{From: step.From, Until: step.To}
			p := place(callsIn(calls, in))
			sum.total, sum.misplaced, sum.stale = sum.total+p.total, sum.misplaced+p.misplaced, sum.stale+p.stale
			if step.Mode == "enforce" {
				all = addShare(all, step, p, referee.Between(log.Records, in))
			}
		}
	}
	b.shareRows(all, sum)
	return nil
}

func callsIn(calls []call, in referee.Interval) []call {
	var out []call
	for _, c := range calls {
		if in.Contains(c.start) {
			out = append(out, c)
		}
	}
	return out
}

func addShare(all []*shareCount, step trial.Step, p placement, records []referee.Record) []*shareCount {
	name := fmt.Sprintf("%.0f %%", step.Share*100)
	var s *shareCount
	for _, have := range all {
		if have.name == name {
			s = have
		}
	}
	if s == nil {
		s = &shareCount{name: name}
		all = append(all, s)
	}
	hits, n := 0, 0
	for _, r := range records {
		n += one(r.Server != referee.NoServer)
		hits += one(r.Server != referee.NoServer && r.ExpectedTimeout == longTimeout*1000)
	}
	byClients, byEnvoy := referee.NewShare(hits, n, step.Share), referee.NewShare(p.cloned, p.total, step.Share)
	s.byClients, s.byEnvoy = append(s.byClients, byClients.Off), append(s.byEnvoy, byEnvoy.Off)
	s.clients = referee.NewShare(s.clients.Hits+hits, s.clients.N+n, step.Share)
	s.envoys = referee.NewShare(s.envoys.Hits+p.cloned, s.envoys.N+p.total, step.Share)
	return all
}

func (b *bench) shareRows(all []*shareCount, sum placement) {
	const group = "share of requests, off the one asked for"
	for _, s := range all {
		b.report.off(group, "asked "+s.name+", clients saw", s.byClients, fmt.Sprintf("%.3f %% of %d requests", s.clients.Seen*100, s.clients.N))
		b.report.off(group, "asked "+s.name+", Envoys logged", s.byEnvoy, fmt.Sprintf("%.3f %% of %d requests", s.envoys.Seen*100, s.envoys.N))
	}
	b.report.zero(group, "requests on another side than their id says", sum.total, sum.misplaced, "every request of every step, from its proof to its end")
	b.report.zero(group, "requests on a route of another step", sum.total, sum.stale, "")
}
