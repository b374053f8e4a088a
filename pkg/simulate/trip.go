package simulate

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/internal/traffic"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const (
	// tripReading is the time between two readings of the proxies, tripSample how many of them are read by request.
	tripReading = time.Second
	tripSample  = 10
	// tripReaction is the time from the reading that trips until the policy is out: no scrape and no poll is waited for.
	tripReaction = 2 * time.Second
	// tripErrors are so few errors of the new side in a tick that none of its seconds can look like breakage: the tick is
	// one reading then, which is what lets a thousand rollouts take seconds.
	tripErrors = 3
)

// watched lets a tick pass, with the tripwire beside it. Where that trips, the tick ends with the reading that did.
func (r *run) watched(at time.Time, f force) metrics.Tick {
	step := r.plan.Steps[r.state.Step]
	if r.plan.Settings.NoAnalysis || !(Options{Tripwire: r.wire}).watches(step) {
		return r.pass(at, f)
	}
	from, s := r.now, r.world.pass(r.now, at, f)
	wire := metrics.Tripwire{Config: r.wire.WithBase(r.state.TripBase)}
	for _, reading := range r.world.readings(s.tick) {
		r.state.Trip, r.facts.Trip = wire.Step(r.state.Trip, rollout.JudgeStepOf(r.state, step), reading)
		if r.facts.Trip.Tripped {
			r.now = reading.To
			r.count(s, float64(r.now.Sub(from))/float64(at.Sub(from)))
			return s.tick
		}
	}
	r.count(s, 1)
	r.now = at
	return s.tick
}

// readings are a tick as it is read second by second at a sample of the proxies: what the tick has of each pod and side,
// dealt to the seconds at random. So the seconds add up to the tick, and what the judge sees is the same with the tripwire
// and without.
func (w *world) readings(tick metrics.Tick) []metrics.Tick {
	whole := metrics.Tick{From: tick.From, To: tick.To, Pods: map[string]map[metrics.Side]metrics.Counts{}}
	for _, pod := range w.pods[:min(len(w.pods), tripSample)] {
		whole.Pods[pod] = tick.Pods[pod]
	}
	n := int(tick.To.Sub(tick.From) / tripReading)
	if n < 2 || whole.Total(metrics.New).Errors < tripErrors {
		return []metrics.Tick{whole}
	}
	out := make([]metrics.Tick, n)
	for i := range out {
		out[i] = metrics.Tick{From: tick.From.Add(time.Duration(i) * tripReading), To: tick.From.Add(time.Duration(i+1) * tripReading),
			Pods: make(map[string]map[metrics.Side]metrics.Counts, len(whole.Pods))}
	}
	out[n-1].To = tick.To
	r := w.dealer(tick.From)
	for _, pod := range w.pods[:len(whole.Pods)] {
		for _, side := range []metrics.Side{metrics.New, metrics.Old} {
			c, has := whole.Pods[pod][side]
			if !has {
				continue
			}
			good, bad := dealt(r, int(c.Requests-c.Errors), n), dealt(r, int(c.Errors), n)
			for i := range out {
				if out[i].Pods[pod] == nil {
					out[i].Pods[pod] = make(map[metrics.Side]metrics.Counts, 2)
				}
				out[i].Pods[pod][side] = metrics.Counts{Requests: float64(good[i] + bad[i]), Errors: float64(bad[i])}
			}
		}
	}
	return out
}

// dealer is a source of its own for every tick, so that reading the proxies changes nothing that is read.
func (w *world) dealer(at time.Time) *rand.Rand {
	return rand.New(rand.NewPCG(traffic.Stir(w.seed), traffic.Stir(uint64(at.UnixNano()))))
}

// dealt deals a number of requests to n seconds, each to any of them.
func dealt(r *rand.Rand, requests, n int) []int {
	out := make([]int, n)
	for i := range slices.Backward(out) {
		out[i] = draw.Binomial(r, requests, 1/float64(i+1))
		requests -= out[i]
	}
	return out
}
