package scenes

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/internal/traffic"
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

// Run reads the scene for so many seconds and gives the second of the trip, or -1.
func (w TripScene) Run(wire metrics.Tripwire, seed uint64, seconds int) int {
	r := rand.New(rand.NewPCG(seed, 23))
	sick, bursts, outage := w.spells(r, time.Duration(seconds)*time.Second)
	step := metrics.JudgeStep{Index: 1, Kind: metrics.StepWatch, Share: w.Share, ByInstance: w.ByInstance}
	state, begun := metrics.TripState{}, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	read := w.reader(seed)
	for k := range seconds {
		from, to := time.Duration(k)*time.Second, time.Duration(k+1)*time.Second
		both, ill := w.Outage*outage.Part(from, to), make([]float64, w.Pods)
		for _, s := range sick {
			ill[s.Pod] = max(ill[s.Pod], 0.5*s.Part(from, to))
		}
		extra := make([]int, w.Pods)
		for _, b := range bursts {
			extra[b.Pod] += draw.Poisson(r, 100*b.Part(from, to)*float64(to-from)/float64(b.To-b.From))
		}
		tick := metrics.Tick{From: begun.Add(from), To: begun.Add(to), Pods: read(from, to, both, ill, extra)}
		var trip metrics.Trip
		if state, trip = wire.Step(state, step, tick); trip.Tripped {
			return k + 1
		}
	}
	return -1
}

// spells draws when what happens.
func (w TripScene) spells(r *rand.Rand, length time.Duration) (sick, bursts []traffic.Spell, outage traffic.Spell) {
	spell := func(pod int, within, lasts time.Duration) traffic.Spell {
		at := time.Duration(r.Float64() * float64(max(0, within)))
		return traffic.Spell{Pod: pod, From: at, To: at + lasts}
	}
	for p := range w.Pods {
		for range draw.Poisson(r, w.Sick*length.Hours()) {
			sick = append(sick, spell(p, length, 30*time.Second))
		}
	}
	if w.HalfSick {
		together := spell(0, length, 30*time.Second)
		for ; together.Pod < w.Pods; together.Pod += 2 {
			sick = append(sick, together)
		}
	}
	for range w.Bursts {
		bursts = append(bursts, spell(r.IntN(max(1, w.Pods)), length, time.Duration(max(1, w.BurstSeconds)*float64(time.Second))))
	}
	return sick, bursts, spell(0, length-time.Minute, time.Minute)
}

// reader draws the readings of a run: both sides fail a share, each pod another, and has extra errors on its new side. By
// instance a pod has one side, so that the old side are other pods, which are never sick.
func (w TripScene) reader(seed uint64) func(from, to time.Duration, both float64, ill []float64, extra []int) map[string]map[metrics.Side]metrics.Counts {
	service := traffic.Service{RPS: w.RPS, Pods: w.Pods, Errors: w.Base, Clumps: w.Clump}
	whole, fresh, old := traffic.NewWorld(service, seed), service, service
	fresh.RPS, old.RPS = w.RPS*w.Share, w.RPS*(1-w.Share)
	news, olds := traffic.NewWorld(fresh, seed), traffic.NewWorld(old, seed+1)
	none, every, share := make([]float64, w.Pods), make([]float64, w.Pods), make([]float64, w.Pods)
	for i := range w.Pods {
		every[i], share[i] = 1, w.Share
	}
	count := func(s traffic.Side, extra int) metrics.Counts {
		return metrics.Counts{Requests: float64(s.Requests + extra), Errors: float64(s.Errors + extra)}
	}
	return func(from, to time.Duration, both float64, ill []float64, extra []int) map[string]map[metrics.Side]metrics.Counts {
		well, sick := sky(w.Base, both, none), sky(w.Base, both, ill)
		out, effect := map[string]map[metrics.Side]metrics.Counts{}, traffic.Effect{Fail: w.Harm}
		if !w.ByInstance {
			for i, p := range whole.Pass(from, to, sick, share, effect) {
				out["shop/pod-"+strconv.Itoa(i)] = map[metrics.Side]metrics.Counts{metrics.New: count(p.New, extra[i]), metrics.Old: count(p.Old, 0)}
			}
			return out
		}
		for i, p := range news.Pass(from, to, sick, every, effect) {
			out["shop/pod-"+strconv.Itoa(i)] = map[metrics.Side]metrics.Counts{metrics.New: count(p.New, extra[i])}
		}
		for i, p := range olds.Pass(from, to, well, none, effect) {
			out["shop/old-"+strconv.Itoa(i)] = map[metrics.Side]metrics.Counts{metrics.Old: count(p.Old, 0)}
		}
		return out
	}
}

// sky is a weather in which everybody fails a share and each pod another one of the rest.
func sky(base, both float64, ill []float64) traffic.Weather {
	out := traffic.Weather{Errors: base, Sick: make([]float64, len(ill)), Bursts: make([]int, len(ill))}
	for i := range ill {
		out.Sick[i] = 1 - (1-both)*(1-ill[i])
	}
	return out
}
