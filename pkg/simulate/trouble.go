package simulate

import (
	"time"

	"github.com/meshpol/meshpol/internal/draw"
)

// The sizes of events.
const (
	sickFor     = 30 * time.Second
	sickFails   = 0.5
	burstErrors = 100
	outageTimes = 20
)

// trouble is what happens in an hour to both sides alike, in times since the start of the world.
type trouble struct {
	sick, bursts []incident
	outages      []time.Duration
}

type incident struct {
	pod int
	at  time.Duration
}

// trouble draws the events of an hour. Every hour has its own source, so that no rule can change what happens to another.
func (w *world) trouble(hour int) trouble {
	if t, ok := w.hours[hour]; ok {
		return t
	}
	r := source(w.seed, uint64(hour)<<32|1)
	when := func() time.Duration {
		return time.Duration(hour)*time.Hour + time.Duration(r.Float64()*float64(time.Hour))
	}
	var t trouble
	for pod := range w.traffic.Pods {
		for range draw.Poisson(r, w.traffic.Sick) {
			t.sick = append(t.sick, incident{pod, when()})
		}
	}
	for range draw.Poisson(r, w.traffic.Bursts) {
		t.bursts = append(t.bursts, incident{r.IntN(w.traffic.Pods), when()})
	}
	for range draw.Poisson(r, w.traffic.Outages) {
		t.outages = append(t.outages, when())
	}
	w.hours[hour] = t
	return t
}

// weather is the trouble of one interval: the share of errors of both sides, and by pod the share that fails because it
// is sick and the errors of bursts.
type weather struct {
	errors float64
	sick   []float64
	bursts []int
}

func (w *world) weather(from, to time.Duration) weather {
	out := weather{errors: w.traffic.Errors, sick: make([]float64, w.traffic.Pods), bursts: make([]int, w.traffic.Pods)}
	if w.traffic.Sick == 0 && w.traffic.Bursts == 0 && w.traffic.Outages == 0 {
		return out
	}
	length, outage := float64(to-from), 0.0
	for hour := max(0, int(from/time.Hour)-1); hour <= int(to/time.Hour); hour++ {
		t := w.trouble(hour)
		for _, s := range t.sick {
			out.sick[s.pod] = min(1, out.sick[s.pod]+sickFails*overlap(from, to, s.at, sickFor)/length)
		}
		for _, b := range t.bursts {
			if b.at >= from && b.at < to {
				out.bursts[b.pod] += burstErrors
			}
		}
		for _, at := range t.outages {
			outage = min(1, outage+overlap(from, to, at, w.traffic.OutageFor)/length)
		}
	}
	out.errors += outage * (max(w.traffic.OutageFails, min(1, outageTimes*out.errors)) - out.errors)
	return out
}

func overlap(from, to, at, lasts time.Duration) float64 {
	return float64(max(0, min(to, at+lasts)-max(from, at)))
}
