package scenes

import (
	"time"

	"github.com/meshpol/meshpol/internal/traffic"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// HistoryOf draws what a service did in some hours under the old policy, its trouble included, in two halves of its pods.
func HistoryOf(service traffic.Service, seed uint64, hours float64) metrics.History {
	const tick = 15 * time.Second
	service.Pods = max(2, service.Pods) // a single pod has no halves, and a history draws them by requests
	world, h := traffic.NewWorld(service, seed^99), metrics.History{Tick: tick, Bounds: service.Bounds}
	shares := make([]float64, service.Pods)
	for i := range int(hours * 240) {
		from := time.Duration(i) * tick
		var halves [2]metrics.HalfCount
		for p, pod := range world.Pass(from, from+tick, world.Weather(from, from+tick), shares, traffic.Effect{}) {
			halves[p%2] = plus(halves[p%2], pod.Old)
		}
		h.Ticks = append(h.Ticks, halves)
	}
	return h
}

func plus(h metrics.HalfCount, s traffic.Side) metrics.HalfCount {
	h.Requests, h.Errors = h.Requests+float64(s.Requests), h.Errors+float64(s.Errors)
	if len(s.Slow) > 0 {
		h.Timed += float64(s.Requests)
	}
	for i, n := range s.Slow {
		if i >= len(h.Slow) {
			h.Slow = append(h.Slow, 0)
		}
		h.Slow[i] += float64(n)
	}
	return h
}
