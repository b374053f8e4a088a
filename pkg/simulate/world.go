package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// world is a mesh with traffic. The requests of an interval, their trouble and their noise depend on its seed and on the
// time alone; only how they are dealt between the sides depends on the exposure.
type world struct {
	traffic Traffic
	harm    Harm
	seed    uint64
	start   time.Time
	pods    []string
	bounds  []float64
	hours   map[int]trouble
}

func newWorld(t Traffic, h Harm, seed uint64) *world {
	w := &world{traffic: t, harm: h, seed: seed, start: epoch(), bounds: t.bounds(), hours: map[int]trouble{}}
	for i := range t.Pods {
		w.pods = append(w.pods, "simulated/pod-"+strconv.Itoa(i))
	}
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
	tick                      metrics.Tick
	requests, exposed, harmed float64
}

// pass lets an interval pass.
func (w *world) pass(from, to time.Time, f force) seen {
	since := from.Sub(w.start)
	totals, dealt := source(w.seed, uint64(since)<<2|2), source(w.seed, uint64(since)<<2|3)
	sky, acts := w.weather(since, to.Sub(w.start)), f.acts && (f.whole() || !w.harm.Whole)
	if w.traffic.Drift > 0 && f.whole() {
		sky.errors = min(1, sky.errors*w.traffic.Drift)
	}
	s := seen{tick: metrics.Tick{From: from, To: to, Newest: to, Pods: make(map[string]map[metrics.Side]metrics.Counts, len(w.pods)),
		Series: map[metrics.Side]int{}}}
	mean := w.traffic.RPS * to.Sub(from).Seconds() / float64(len(w.pods))
	for i, pod := range w.pods {
		n := draw.Poisson(totals, mean)
		slower := math.Exp(w.traffic.Noise * totals.NormFloat64())
		exposed := draw.Binomial(dealt, n, f.shares[i])
		burst := draw.Binomial(dealt, sky.bursts[i], f.shares[i])
		old := w.side(dealt, n-exposed, min(n-exposed, sky.bursts[i]-burst), sky.errors, sky.sick[i], slower)
		fresh, harmed := w.exposed(dealt, exposed, burst, sky, i, slower, acts)
		counted := max(float64(exposed), fresh.Requests) + max(float64(n-exposed), old.Requests)
		s.requests, s.exposed, s.harmed = s.requests+counted, s.exposed+float64(exposed), s.harmed+harmed
		s.book(pod, f.shares[i], fresh, old, acts && w.harm.Silent)
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

// exposed draws the requests under the new policy, and tells how many of them it harmed.
func (w *world) exposed(r *rand.Rand, n, burst int, sky weather, pod int, slower float64, acts bool) (metrics.Counts, float64) {
	if !acts || w.harm.None() {
		return w.side(r, n, min(n, burst), sky.errors, sky.sick[pod], slower), 0
	}
	if w.harm.Hang {
		return metrics.Counts{}, float64(n)
	}
	factor := slower * (1 + w.harm.Slower)
	c := w.side(r, n, min(n, burst), sky.errors, sky.sick[pod], factor)
	well := c.Requests - c.Errors
	failed := float64(w.extra(r, int(well), sky.errors))
	c.Requests += max(0, failed-well)
	well = max(well, failed)
	c = withErrors(c, c.Errors+failed)
	bound := float64(w.traffic.Slow) / float64(time.Millisecond)
	dragged := (well - failed) * (w.traffic.slower(bound, factor) - w.traffic.slower(bound, slower))
	return c, failed + max(0, dragged)
}

// extra draws the failures that the policy makes: what multiplies errors comes in their clumps, what breaks requests
// breaks each by itself.
func (w *world) extra(r *rand.Rand, n int, base float64) int {
	more := Harm{Times: w.harm.Times, More: w.harm.More}.extra(base)
	x := draw.Clumped(r, float64(n), more, w.traffic.Clumps)
	return x + draw.Binomial(r, n-x, w.harm.Fail)
}

// side draws the requests of one side of a pod.
func (w *world) side(r *rand.Rand, n, burst int, errors, sick, factor float64) metrics.Counts {
	if n <= 0 {
		return metrics.Counts{}
	}
	x := burst + draw.Clumped(r, float64(n), errors, w.traffic.Clumps)
	x += draw.Binomial(r, n-x, sick)
	n = max(n, x) // what comes in clumps adds requests, as retries do
	c := withErrors(metrics.Counts{Requests: float64(n), Timed: float64(n)}, float64(x))
	c.Slow = make(map[float64]float64, len(w.bounds))
	for i, slow := range draw.Above(r, n, w.bounds, w.traffic.median(factor)) {
		c.Slow[w.bounds[i]] = float64(slow)
	}
	return c
}

func withErrors(c metrics.Counts, errors float64) metrics.Counts {
	c.Errors, c.Codes = errors, map[string]float64{"200": c.Requests - errors}
	if errors > 0 {
		c.Codes["503"] = errors
	}
	return c
}
