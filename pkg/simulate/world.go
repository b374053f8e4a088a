package simulate

import (
	"slices"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/traffic"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// world is a mesh with traffic, a policy that may do harm, and names for its pods.
type world struct {
	traffic Traffic
	harm    Harm
	start   time.Time
	seed    uint64
	index   int // of the run
	pods    []string
	bounds  []float64
	service *traffic.World
}

func newWorld(t Traffic, h Harm, seed uint64) *world {
	w := &world{traffic: t, harm: h, start: epoch(), seed: seed, bounds: t.bounds()}
	for i := range t.Pods {
		w.pods = append(w.pods, "simulated/pod-"+strconv.Itoa(i))
	}
	w.service = traffic.NewWorld(t.service(), seed)
	return w
}

// epoch is when virtual time begins.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// force is how much of the policy is in force: the share of each pod's requests, and whether the policy acts on them.
type force struct {
	shares []float64
	acts   bool
}

// force is that of an exposure whose cohort are the first pods.
func (w *world) force(e policy.Exposure, cohort int) force {
	f := force{shares: make([]float64, w.traffic.Pods), acts: e.Mode == policy.Enforce}
	for i := range f.shares {
		switch {
		case e.By == policy.All:
			f.shares[i] = 1
		case e.By == policy.ByMatch:
			f.shares[i] = w.traffic.Chosen
		case e.By == policy.ByRequest:
			f.shares[i] = e.Window.Share()
		case i < cohort:
			f.shares[i] = 1
		}
	}
	return f
}

// shared is the same share at every pod, as a weight gives it.
func (w *world) shared(share float64) force {
	f := force{shares: make([]float64, w.traffic.Pods), acts: true}
	for i := range f.shares {
		f.shares[i] = share
	}
	return f
}

// whole tells that all requests are under the new policy.
func (f force) whole() bool {
	return f.acts && !slices.ContainsFunc(f.shares, func(share float64) bool { return share < 1 })
}

// seen is an interval: what a metrics source shows of it, and what really happened to the requests of users.
type seen struct {
	tick             metrics.Tick
	requests, harmed float64
}

// pass lets an interval pass.
func (w *world) pass(from, to time.Time, f force) seen {
	since, until := from.Sub(w.start), to.Sub(w.start)
	sky, acts := w.service.Weather(since, until), f.acts && (f.whole() || !w.harm.Whole)
	if w.traffic.Drift > 0 && f.whole() {
		sky.Errors = min(1, sky.Errors*w.traffic.Drift)
	}
	var effect traffic.Effect
	if acts {
		effect = w.harm.effect(sky.Errors, milliseconds(w.traffic.Slow))
	}
	s := seen{tick: metrics.Tick{From: from, To: to, Newest: to, Pods: make(map[string]map[metrics.Side]metrics.Counts, len(w.pods)),
		Series: map[metrics.Side]int{}}}
	for i, p := range w.service.Pass(since, until, sky, f.shares, effect) {
		harmed := float64(p.New.Failed) + p.New.Dragged
		s.requests += float64(max(p.Dealt, p.New.Requests) + max(p.Requests-p.Dealt, p.Old.Requests))
		if acts && w.harm.Hang {
			p.New, harmed = traffic.Side{}, float64(p.Dealt)
		}
		s.harmed += harmed
		s.book(w.pods[i], f.shares[i], w.counts(p.New), w.counts(p.Old), acts && w.harm.Silent)
	}
	return s
}

// book writes the counts of a pod down. A side that it cannot have has no series.
func (s *seen) book(pod string, share float64, fresh, old metrics.Counts, silent bool) {
	sides := make(map[metrics.Side]metrics.Counts, 2)
	if share > 0 && !silent {
		sides[metrics.New] = fresh
		s.tick.Series[metrics.New]++
	}
	if share < 1 {
		sides[metrics.Old] = old
		s.tick.Series[metrics.Old]++
	}
	s.tick.Pods[pod] = sides
}

// counts are those of a side as a metrics source has them.
func (w *world) counts(s traffic.Side) metrics.Counts {
	if s.Requests == 0 {
		return metrics.Counts{}
	}
	c := metrics.Counts{Requests: float64(s.Requests), Errors: float64(s.Errors), Timed: float64(s.Requests), Slow: make(map[float64]float64, len(w.bounds)),
		Codes: map[string]float64{"200": float64(s.Requests - s.Errors)}}
	if s.Errors > 0 {
		c.Codes["503"] = float64(s.Errors)
	}
	for i, slow := range s.Slow {
		c.Slow[w.bounds[i]] = float64(slow)
	}
	return c
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
