package simulate

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// The limits of the peers' rules, as their documents suggest them.
const (
	peerSuccess   = 0.99
	peerP99       = 500.0 // milliseconds
	peerThreshold = 5     // Flagger's failed checks
	peerErrors    = 5     // Argo's consecutive errors, the last of which ends it
	peerInterval  = time.Minute
)

// errorRetry is how soon Argo asks again after an error.
const errorRetry = 10 * time.Second

// peerWeights are the weights of the peers that shift traffic, in percent.
func peerWeights() []int { return []int{10, 20, 30, 40, 50} }

// peers are the rules of others as far as they can be read from their code and documents; every doubt is in their
// favour. They get the same seconds of the same traffic, at the weights that they choose.
func peers() []rule {
	var weights []string
	for _, w := range peerWeights() {
		weights = append(weights, weightName(w))
	}
	return []rule{
		{name: "Flagger", about: "99 %, p99 500 ms, each minute, threshold 5; 10 to 50 %", steps: weights, run: flagger},
		{name: "Argo Rollouts", about: "99 %, p99 500 ms, each minute, failureLimit 0; 10 to 50 %", steps: weights, run: argo},
		{name: "Kayenta", about: "Mann-Whitney on minutes, each 10 of 50; 10 %", steps: []string{weightName(kayentaWeight)}, run: kayenta},
	}
}

func weightName(percent int) string { return strconv.Itoa(percent) + " %" }

// shift is a rollout of a peer on its way.
type shift struct {
	world  *world
	now    time.Time
	weight int
	result outcome
}

// interval lets time pass at the weight in force and sums up what a metrics source shows of it.
func (s *shift) interval(length time.Duration) metrics.Tick {
	saw := s.world.pass(s.now, s.now.Add(length), s.world.shared(float64(s.weight)/100))
	s.now = s.now.Add(length)
	s.result.requests, s.result.harmed = s.result.requests+saw.requests, s.result.harmed+saw.harmed
	return saw.tick
}

// minute is an interval in the ticks that meshpol's default has, so that all see the same seconds.
func (s *shift) minute() []metrics.Tick {
	const tick = 15 * time.Second
	var out []metrics.Tick
	for range int(peerInterval / tick) {
		out = append(out, s.interval(tick))
	}
	return out
}

// end takes the policy out, or leaves it in force.
func (s *shift) end(end End) outcome {
	if end != Passed && s.world.traffic.Reaction > 0 {
		s.interval(s.world.traffic.Reaction)
	}
	s.result.end, s.result.step = end, weightName(s.weight)
	s.result.took, s.result.exposed = s.now.Sub(s.world.start), s.now.Sub(s.world.start)
	return s.result
}

// sight is what a query over a minute gives: sums of a side, and whether there is any series at all.
type sight struct {
	metrics.Counts
	series bool
}

func look(ticks []metrics.Tick, side metrics.Side) sight {
	var out sight
	for _, t := range ticks {
		out.Counts = out.Plus(t.Total(side))
		out.series = out.series || t.Series[side] > 0
	}
	return out
}

// healthy is the check of both limits.
func (s sight) healthy() bool {
	return s.Requests-s.Errors >= peerSuccess*s.Requests && !(p99(s.Counts) > peerP99)
}

// p99 is what histogram_quantile makes of the buckets: linear inside a bucket. NaN where there is nothing.
func p99(c metrics.Counts) float64 {
	if c.Timed <= 0 {
		return math.NaN()
	}
	limit, below, left := 0.01*c.Timed, 0.0, c.Timed
	for _, b := range slices.Sorted(maps.Keys(c.Slow)) {
		slow := c.Slow[b]
		if slow <= limit && left > slow {
			return below + (b-below)*(left-limit)/(left-slow)
		}
		below, left = b, slow
	}
	return below
}

// flagger advances by a check that passed, stays at one that failed, and goes back at the fifth that failed, ever. No
// requests are a failed check. Its code acts on the fifth an interval later; here it acts at once.
func flagger(w *world) outcome {
	s := &shift{world: w, now: w.start}
	failed := 0
	for _, weight := range peerWeights() {
		s.weight = weight
		for {
			saw := look(s.minute(), metrics.New)
			if saw.Requests > 0 && saw.healthy() {
				break
			}
			if failed++; failed >= peerThreshold {
				return s.end(Failed)
			}
		}
	}
	return s.end(Passed)
}

// argo aborts at the first failed measurement. Both conditions are written, so that 0/0 meets neither: Inconclusive,
// and it waits for a person. An empty answer is an error; after the fifth in a row, 10 s apart, it aborts.
func argo(w *world) outcome {
	s := &shift{world: w, now: w.start}
	for _, weight := range peerWeights() {
		s.weight = weight
		switch saw := look(s.minute(), metrics.New); {
		case !saw.series:
			for range peerErrors - 1 {
				s.interval(errorRetry)
			}
			return s.end(NoData)
		case saw.Requests == 0:
			return s.end(Inconclusive)
		case !saw.healthy():
			return s.end(Failed)
		}
	}
	return s.end(Passed)
}
