package traffic

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

// Spell is a time on a pod.
type Spell struct {
	Pod      int
	From, To time.Duration
}

// Part is the part of an interval that the spell takes.
func (s Spell) Part(from, to time.Duration) float64 {
	return float64(max(0, min(to, s.To)-max(from, s.From))) / float64(to-from)
}

// trouble is what happens in an hour to both sides alike, in times since the start of the world.
type trouble struct{ sick, bursts, outages []Spell }

// trouble draws the events of an hour. Every hour has its own source, so that nobody's reading of one can change another.
func (w *World) trouble(hour int) trouble {
	if t, ok := w.hours[hour]; ok {
		return t
	}
	r := source(w.seed, uint64(hour)<<32|1)
	spell := func(pod int, lasts time.Duration) Spell {
		at := time.Duration(hour)*time.Hour + time.Duration(r.Float64()*float64(time.Hour))
		return Spell{Pod: pod, From: at, To: at + lasts}
	}
	var t trouble
	for pod := range w.service.Pods {
		for range draw.Poisson(r, w.service.Sick) {
			t.sick = append(t.sick, spell(pod, sickFor))
		}
	}
	for range draw.Poisson(r, w.service.Bursts) {
		t.bursts = append(t.bursts, spell(r.IntN(w.service.Pods), 0))
	}
	for range draw.Poisson(r, w.service.Outages) {
		t.outages = append(t.outages, spell(0, w.service.OutageFor))
	}
	w.hours[hour] = t
	return t
}

// Weather is the trouble of one interval: the share of errors of both sides, and by pod the share that fails because it
// is sick and the errors of bursts.
type Weather struct {
	Errors float64
	Sick   []float64
	Bursts []int
}

// Weather is that of an interval between two times since the start.
func (w *World) Weather(from, to time.Duration) Weather {
	s := w.service
	out := Weather{Errors: s.Errors, Sick: make([]float64, s.Pods), Bursts: make([]int, s.Pods)}
	if s.Sick == 0 && s.Bursts == 0 && s.Outages == 0 {
		return out
	}
	outage := 0.0
	for hour := max(0, int(from/time.Hour)-1); hour <= int(to/time.Hour); hour++ {
		t := w.trouble(hour)
		for _, one := range t.sick {
			out.Sick[one.Pod] = min(1, out.Sick[one.Pod]+sickFails*one.Part(from, to))
		}
		for _, one := range t.bursts {
			if one.From >= from && one.From < to {
				out.Bursts[one.Pod] += burstErrors
			}
		}
		for _, one := range t.outages {
			outage = min(1, outage+one.Part(from, to))
		}
	}
	out.Errors += outage * (max(s.OutageFails, min(1, outageTimes*out.Errors)) - out.Errors)
	return out
}
