package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/internal/scenes"
	"github.com/meshpol/meshpol/internal/traffic"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// Traffic is the simulated service and its trouble, as the old policy has it. DefaultTraffic gives the defaults.
type Traffic struct {
	// RPS are its requests per second, Pods the client pods that send them.
	RPS  float64 `json:"rps"`
	Pods int     `json:"pods"`
	// Errors is the share of requests that fail anyhow, in clumps of a mean size; 1: each by itself.
	Errors float64 `json:"errors"`
	Clumps float64 `json:"clumps"`
	// Latency is the median; the distribution is log-normal, its 99th percentile is 6.4 times as long.
	Latency time.Duration `json:"-"`
	// Noise is the deviation by which a pod's latencies vary between two ticks: 0.05 is 5 %.
	Noise float64 `json:"noise"`
	// Sick, Bursts and Outages are events in an hour: a pod half of whose requests fail for 30 s (per pod), 100 errors at
	// one pod at once, and a time of OutageFor in which both sides fail 20 times as often, at least OutageFails.
	Sick    float64 `json:"sick"`
	Bursts  float64 `json:"bursts"`
	Outages float64 `json:"outages"`
	// OutageFor is 2 min and OutageFails 5 % by default; Drift multiplies the errors of both sides from the moment on at
	// which the policy is in force everywhere, 0 being 1.
	OutageFor   time.Duration `json:"-"`
	OutageFails float64       `json:"-"`
	Drift       float64       `json:"-"`
	// Chosen is the share of the requests that a header, a cookie or a source picks.
	Chosen float64 `json:"chosen"`
	// Slow is the time from which on a request counts as harmed where it would have been faster under the old policy.
	Slow time.Duration `json:"-"`
	// Reaction is the time from a decision's last request to the moment the policy is out: scrape, poll and way back.
	Reaction time.Duration `json:"-"`
}

// MarshalJSON writes lengths of time as seconds, like all documents.
func (t Traffic) MarshalJSON() ([]byte, error) {
	type plain Traffic
	return json.Marshal(struct {
		plain
		Latency  float64 `json:"latencySeconds"`
		Slow     float64 `json:"slowSeconds"`
		Reaction float64 `json:"reactionSeconds"`
	}{plain(t), t.Latency.Seconds(), t.Slow.Seconds(), t.Reaction.Seconds()})
}

// DefaultTraffic is an ordinary service.
func DefaultTraffic() Traffic {
	return Traffic{RPS: 200, Pods: 8, Errors: 0.001, Clumps: 3, Latency: 40 * time.Millisecond, Noise: 0.05, Chosen: 0.1,
		OutageFor: 2 * time.Minute, OutageFails: 0.05, Slow: 250 * time.Millisecond, Reaction: 12 * time.Second}
}

// The most that is simulated: beyond it a run would take minutes and prove nothing more.
const (
	mostRPS  = 1e6
	mostPods = 1000
)

// Check names the first number that makes no sense.
func (t Traffic) Check() error {
	within := func(v, least, most float64) bool { return v >= least && v <= most } // false for NaN
	for _, c := range []struct {
		ok   bool
		text string
	}{
		{within(t.RPS, 0.01, mostRPS), fmt.Sprintf("%g requests per second: use 0.01 to %.0f", t.RPS, float64(mostRPS))},
		{within(float64(t.Pods), 1, mostPods), fmt.Sprintf("%d pods: use 1 to %d", t.Pods, mostPods)},
		{within(t.Errors, 0, 1), fmt.Sprintf("a share of errors of %g %%: use 0 to 100 %%", 100*t.Errors)},
		{within(t.Clumps, 1, 1000), fmt.Sprintf("clumps of %g errors: use 1 to 1000", t.Clumps)},
		{t.Latency > 0 && t.Slow > 0, "latencies must be above 0"},
		{within(t.Noise, 0, 1), fmt.Sprintf("noise of %g: use 0 to 100 %%", t.Noise)},
		{within(t.Sick, 0, 60) && within(t.Bursts, 0, 600) && within(t.Outages, 0, 20), "sick pods, bursts and outages in an hour: use at most 60, 600 and 20"},
		{within(t.Chosen, 0.0001, 0.9999), fmt.Sprintf("a chosen share of %g %%: use 0.01 to 99.99 %%", 100*t.Chosen)},
		{t.OutageFor >= 0 && t.OutageFor <= time.Hour && within(t.OutageFails, 0, 1) && within(t.Drift, 0, 1000), "an outage takes an hour and all requests at the most"},
		{t.Reaction >= 0, "the reaction time cannot be negative"},
	} {
		if !c.ok {
			return errors.New(c.text)
		}
	}
	return nil
}

// bounds are those of Istio's latency histogram that tell something of these latencies, in milliseconds.
func (t Traffic) bounds() []float64 {
	var out []float64
	for _, b := range []float64{1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000} {
		if draw.Slower(b, milliseconds(t.Latency)) < 0.9 && len(out) < mostBounds {
			out = append(out, b)
		}
	}
	return out
}

// mostBounds is far beyond the last latency that is seen where latencies are a few times as long.
const mostBounds = 7

// service is the traffic as the model of all simulations has it.
func (t Traffic) service() traffic.Service {
	return traffic.Service{RPS: t.RPS, Pods: t.Pods, Errors: t.Errors, Clumps: t.Clumps, Median: milliseconds(t.Latency), Bounds: t.bounds(),
		Noise: t.Noise, Sick: t.Sick, Bursts: t.Bursts, Outages: t.Outages, OutageFor: t.OutageFor, OutageFails: t.OutageFails}
}

// historyHours is what a judge reads of the time before a rollout.
const historyHours = 6

// History is what such a service did in the six hours before a rollout, its trouble included, as a judge reads it.
func History(t Traffic, seed uint64) metrics.History {
	return scenes.HistoryOf(t.service(), seed, historyHours)
}
