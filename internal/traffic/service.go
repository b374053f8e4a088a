// Package traffic is the model of a service that simulations and tests share: its requests, its errors in clumps, its
// latencies, and the trouble that services have: sick pods, bursts of errors, outages of everybody. It knows of two
// sides and of what a policy does to one of them, and of nothing else: what it draws are plain numbers.
package traffic

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
)

// Service is a service and its trouble.
type Service struct {
	// RPS are requests per second of all Pods.
	RPS  float64
	Pods int
	// Errors is the share of requests that fail anyhow, in clumps of a mean size; up to 1, each by itself.
	Errors, Clumps float64
	// Median is that of the log-normal latencies in milliseconds; how many are slower is counted at Bounds, at which none
	// are counted where there are none. Noise varies a pod's latencies between two intervals, SideNoise those of each side
	// by itself.
	Median           float64
	Bounds           []float64
	Noise, SideNoise float64
	// Fan is how many requests have one id in common, so that they are on one side.
	Fan int
	// Sick, Bursts and Outages are events in an hour: of each pod, half of whose requests fail for 30 s, of any pod, which
	// has 100 errors at once, and of everybody, who fails 20 times as often, at least OutageFails, for OutageFor.
	Sick, Bursts, Outages float64
	OutageFor             time.Duration
	OutageFails           float64
}

// Effect is what a policy does to the requests under it. The zero value does nothing.
type Effect struct {
	// More fail than would without it, in the clumps in which errors come; of the rest the share Fail, each by itself.
	// All take longer by the share Slower.
	More, Fail, Slower float64
	// Dragged requests take longer than so many milliseconds since they take longer by Slower; 0 asks for no count.
	Bound float64
}

// Side is what one side of a pod did in an interval: Slow counts the requests above each bound, Failed those of the errors
// that an effect made, Dragged, as expected, those that it only slowed.
type Side struct {
	Requests, Errors int
	Slow             []int
	Failed           int
	Dragged          float64
}

// side draws the n requests of one side of a pod. Errors that come together add requests, as retries do.
func (s Service) side(r *rand.Rand, n, burst int, sky Weather, pod int, noise float64, e Effect) Side {
	if n <= 0 && burst <= 0 {
		return Side{}
	}
	x := burst + draw.Clumped(r, float64(n), sky.Errors, s.Clumps)
	x += draw.Binomial(r, n-x, sky.Sick[pod])
	failed := draw.Clumped(r, float64(max(0, n-x)), e.More, s.Clumps)
	failed += draw.Binomial(r, n-x-failed, e.Fail)
	out := Side{Requests: max(n, x+failed), Errors: x + failed, Failed: failed}
	if s.SideNoise > 0 {
		noise *= math.Exp(s.SideNoise * r.NormFloat64())
	}
	if len(s.Bounds) > 0 {
		out.Slow = draw.Above(r, out.Requests, s.Bounds, s.Median*noise*(1+e.Slower))
	}
	if e.Bound > 0 && e.Slower > 0 {
		more := draw.Slower(e.Bound, s.Median*noise*(1+e.Slower)) - draw.Slower(e.Bound, s.Median*noise)
		out.Dragged = float64(out.Requests-out.Errors) * max(0, more)
	}
	return out
}
