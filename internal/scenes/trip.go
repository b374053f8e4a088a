package scenes

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// TripScene is one step at one share, read every second, for a tripwire.
type TripScene struct {
	Name string
	// RPS is requests a second of both sides, Share the new side's, Pods the number of client pods, or by instance of
	// new ones.
	RPS, Share  float64
	Pods        int
	ByInstance  bool
	Base, Clump float64
	// Bursts bursts of 100 errors of the new side, on one pod each, spread over BurstSeconds.
	Bursts       int
	BurstSeconds float64
	// Sick is the number of episodes per pod and hour of 30 s in which half of a pod's requests fail; HalfSick makes half
	// of the pods sick once, together.
	Sick     float64
	HalfSick bool
	// Outage is what both sides fail for 60 s, once.
	Outage float64
	// Harm is the share of the new side's requests that fail from the start.
	Harm float64
}

// spell is a time from one second to another on a pod.
type spell struct {
	pod      int
	from, to float64
}

func (s spell) overlap(from, to float64) float64 {
	return math.Max(0, math.Min(to, s.to)-math.Max(from, s.from)) / (to - from)
}

// Run reads the scene for so many seconds and gives the second of the trip, or -1.
func (w TripScene) Run(wire metrics.Tripwire, seed uint64, seconds int) int {
	r := rand.New(rand.NewPCG(seed, 23))
	sick, bursts, outage := w.spells(r, float64(seconds))
	step := metrics.JudgeStep{Index: 1, Kind: metrics.StepWatch, Share: w.Share, ByInstance: w.ByInstance}
	state, at := metrics.TripState{}, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for k := range seconds {
		tick := metrics.Tick{From: at, To: at.Add(time.Second), Pods: map[string]map[metrics.Side]metrics.Counts{}}
		at = tick.To
		from, to := float64(k), float64(k+1)
		both := w.Outage * outage.overlap(from, to)
		for p := range w.Pods {
			ill := 0.0
			for _, s := range sick {
				if s.pod == p {
					ill = math.Max(ill, 0.5*s.overlap(from, to))
				}
			}
			extra := 0.0
			for _, b := range bursts {
				if b.pod == p {
					extra += float64(draw.Poisson(r, 100*b.overlap(from, to)/(b.to-b.from)))
				}
			}
			w.book(r, tick, p, both, ill, extra)
		}
		var trip metrics.Trip
		if state, trip = wire.Step(state, step, tick); trip.Tripped {
			return k + 1
		}
	}
	return -1
}

// spells draws when what happens.
func (w TripScene) spells(r *rand.Rand, seconds float64) (sick, bursts []spell, outage spell) {
	for p := range w.Pods {
		for range draw.Poisson(r, w.Sick*seconds/3600) {
			f := r.Float64() * seconds
			sick = append(sick, spell{p, f, f + 30})
		}
	}
	if w.HalfSick {
		f := r.Float64() * seconds
		for p := 0; p < w.Pods; p += 2 {
			sick = append(sick, spell{p, f, f + 30})
		}
	}
	for range w.Bursts {
		f := r.Float64() * seconds
		bursts = append(bursts, spell{r.IntN(max(1, w.Pods)), f, f + math.Max(1, w.BurstSeconds)})
	}
	f := r.Float64() * math.Max(0, seconds-60)
	return sick, bursts, spell{0, f, f + 60}
}

// book draws a pod's second: both sides fail a share, the pod itself another. By instance a sick pod is a new one, and the
// old side is a pod of its own.
func (w TripScene) book(r *rand.Rand, tick metrics.Tick, p int, both, ill, extra float64) {
	nc, ns := draw.Poisson(r, w.RPS*w.Share/float64(w.Pods)), draw.Poisson(r, w.RPS*(1-w.Share)/float64(w.Pods))
	fail := 1 - (1-both)*(1-ill)
	oldFail := fail
	if w.ByInstance {
		oldFail = both
	}
	ec, es := float64(draw.Clumped(r, float64(nc), w.Base, w.Clump)), float64(draw.Clumped(r, float64(ns), w.Base, w.Clump))
	c := metrics.Counts{Requests: float64(nc) + extra, Errors: float64(draw.Binomial(r, nc, 1-(1-fail)*(1-w.Harm))) + ec + extra}
	o := metrics.Counts{Requests: float64(ns), Errors: float64(draw.Binomial(r, ns, oldFail)) + es}
	if w.Clump > 1 {
		c.Requests, o.Requests = c.Requests+ec*(1-1/w.Clump), o.Requests+es*(1-1/w.Clump)
	}
	c.Errors, o.Errors = math.Min(c.Requests, c.Errors), math.Min(o.Requests, o.Errors)
	pod := "shop/pod-" + strconv.Itoa(p)
	if w.ByInstance {
		tick.Pods[pod] = map[metrics.Side]metrics.Counts{metrics.New: c}
		tick.Pods["shop/old-"+strconv.Itoa(p)] = map[metrics.Side]metrics.Counts{metrics.Old: o}
		return
	}
	tick.Pods[pod] = map[metrics.Side]metrics.Counts{metrics.New: c, metrics.Old: o}
}
