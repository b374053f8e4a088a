package metrics

import (
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"
)

// dealtPods is how many pods of a side are dealt into strata by order; more are dealt by hash, which is even enough.
const dealtPods = 64

// deal gives pods their stratum, sorted by name the first time, later ones at the end. By request every pod has both
// sides and goes with both of its halves. By instance the two sides are dealt apart, so that every stratum has both;
// there are no more strata than the smaller side has pods.
func (s score) deal(t Tick, byInstance bool) score {
	s.Pods, s.Stable = slices.Clone(s.Pods), slices.Clone(s.Stable)
	for _, pod := range slices.Sorted(maps.Keys(t.Pods)) {
		switch hash := podHash(pod); {
		case t.Pods[pod][New].Requests > 0 || !byInstance:
			s.Pods = dealOne(s.Pods, hash)
		case t.Pods[pod][Old].Requests > 0:
			s.Stable = dealOne(s.Stable, hash)
		}
	}
	// Not every pod has counted in the first interval where traffic is low or a scrape takes longer than a tick. A stratum
	// that is added has left nothing out yet, so that the guard only becomes stricter.
	k := min(maxStrata, len(s.Pods))
	if byInstance {
		k = min(k, len(s.Stable))
	}
	s.K = max(s.K, k)
	return s
}

func dealOne(dealt []uint16, hash uint16) []uint16 {
	if len(dealt) >= dealtPods || slices.Contains(dealt, hash) {
		return dealt
	}
	return append(dealt, hash)
}

// stratum is where a pod's counts go.
func (s score) stratum(pod string) int {
	hash := podHash(pod)
	place := slices.Index(s.Pods, hash)
	if place < 0 {
		place = slices.Index(s.Stable, hash)
	}
	if place < 0 {
		place = int(hash)
	}
	return place % max(1, s.K)
}

func podHash(pod string) uint16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod))
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}

// pend adds a tick to the counts that wait for the next scoring; kept is the factor on refused requests.
func (s score) pend(t Tick, kept float64, byInstance bool, o LatencyObjective) score {
	s = s.deal(t, byInstance)
	cells := make([]cell, max(1, s.K, len(s.Pending)))
	copy(cells, s.Pending)
	for pod, sides := range t.Pods {
		i, c, old := s.stratum(pod), sides[New], sides[Old]
		cells[i].New = cells[i].New.plus(c, c.Errors-c.Refused*(1-kept), s.Latency, o)
		cells[i].Old = cells[i].Old.plus(old, old.Errors, s.Latency, o)
	}
	s.Pending = cells
	if s.PendingFrom == 0 {
		s.PendingFrom = t.From.UnixMilli()
	}
	return s
}

// due tells whether enough time has gathered to be scored.
func (s score) due(to time.Time, tick time.Duration) bool {
	return to.Sub(time.UnixMilli(s.PendingFrom)) >= tick-time.Second
}

// sums are the pending counts of all strata.
func (s score) sums() (c, o half) {
	for _, one := range s.Pending {
		c, o = c.with(one.New), o.with(one.Old)
	}
	return c, o
}

// gathers takes the pending old side into the clumping, in two halves of strata; of one stratum, two ticks in a row are
// the halves. In step 0 both sides are the old one.
func (s score) gathers(stage bool) score {
	var halves [2]half
	for i, one := range s.Pending {
		halves[i%2] = halves[i%2].with(one.Old)
		if stage {
			halves[i%2] = halves[i%2].with(one.New)
		}
	}
	if len(s.Pending) == 1 {
		halves[1], s.Single = s.Single, halves[0]
		if halves[1].N > 0 {
			s.Single = half{}
		}
	}
	s.Halves = s.Halves.add(halves[0].X, halves[0].N, halves[1].X, halves[1].N)
	return s
}

// most is an upper end of φ, for the few ticks of a rollout's own: what is clumped φ-fold says no more than a φth part of
// it would.
func (c clumps) most() float64 {
	phi := c.phi()
	return phi * (1 + ownDoubt*math.Sqrt(phi/max(ownEvents, c.Events)))
}

// ownDoubt is how many deviations an own φ is taken to be off; with fewer than ownEvents it is no more unknown.
const (
	ownDoubt  = 2.5
	ownEvents = 4
)
