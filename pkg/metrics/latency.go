package metrics

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// The choice of latency bounds: tails of the old policy between 0.2 % and 40 %, at most eight of them, and the first
// beyond; from at least tailRequests timed requests, and tailEvents above each bound (ANALYSIS.md section 5).
const (
	tailLeast     = 0.002
	tailMost      = 0.4
	tailBounds    = 8
	tailRequests  = 1000
	tailEvents    = 20
	tailKeep      = 64
	steepest      = 8.0
	beyondSlopeOf = 1.1
)

// addTails adds what the old policy did in a tick. Of more than tailKeep bounds an even choice is kept.
func addTails(tails []Tail, slow map[float64]float64) []Tail {
	tails = slices.Clone(tails)
	bounds := slices.Sorted(maps.Keys(slow))
	if len(tails) == 0 {
		bounds = spread(bounds, tailKeep)
	}
	for _, bound := range bounds {
		i, found := slices.BinarySearchFunc(tails, bound, func(t Tail, b float64) int { return cmp.Compare(t.Bound, b) })
		if !found && len(tails) >= tailKeep {
			continue
		}
		if !found {
			tails = slices.Insert(tails, i, Tail{Bound: bound})
		}
		tails[i].Slow += slow[bound]
	}
	return tails
}

// slower is the score of one bucket bound: a request slower than it is a bad event. Kappa is the slope κ of the old tail
// there, so that (1+τ)^κ is the tolerated ratio of tails; Beyond marks a bound that the old policy hardly ever exceeded,
// which no proof asks for. Phi is φ of the history, 0 where there is none. New and Old are the step's own counts.
type slower struct {
	Bound  float64   `json:"b"`
	Kappa  float64   `json:"k"`
	Ratio  float64   `json:"r"`
	Beyond bool      `json:"far,omitempty"`
	Phi    float64   `json:"phi,omitempty"`
	Clumps clumps    `json:"cl,omitzero"`
	Score  evidence  `json:"e"`
	Back   *evidence `json:"back,omitempty"`
	Down   downs     `json:"d"`
	New    half      `json:"c"`
	Old    half      `json:"s"`
}

// fresh is the bound without anything scored.
func (l slower) fresh() slower {
	return slower{Bound: l.Bound, Kappa: l.Kappa, Ratio: l.Ratio, Beyond: l.Beyond, Phi: l.Phi, Score: newEvidence()}
}

// chooseBounds picks bounds and their ratios from the old policy's tails. It uses nothing of what will be scored.
func chooseBounds(tails []Tail, timed, tolerance float64) []slower {
	if timed < tailRequests || tolerance <= 0 {
		return nil
	}
	var usable []int
	beyond := -1
	for i, t := range tails {
		switch share := t.Slow / timed; {
		case share >= tailLeast && share <= tailMost && t.Slow >= tailEvents:
			usable = append(usable, i)
		case share < tailLeast && beyond < 0:
			beyond = i
		}
	}
	chosen := spread(usable, tailBounds)
	if beyond >= 0 {
		chosen = append(chosen, beyond)
	}
	out := make([]slower, 0, len(chosen))
	for _, i := range chosen {
		l := slower{Bound: tails[i].Bound, Kappa: slope(tails, i, timed), Beyond: i == beyond, Phi: tails[i].Clumping, Score: newEvidence()}
		l.Ratio = math.Pow(1+tolerance, l.Kappa)
		if tails[i].Slow == 0 {
			l.Ratio = max(beyondSlopeOf, 1+tolerance)
		}
		out = append(out, l)
	}
	return out
}

// spread keeps at most n of them, evenly, the first and the last one among them.
func spread[T any](from []T, n int) []T {
	if len(from) <= n {
		return from
	}
	var out []T
	for i := range n {
		out = append(out, from[i*(len(from)-1)/(n-1)])
	}
	return out
}

// slope is κ, the steeper of the two slopes of log tail over log bound beside the bound, 1 to 8. Coarse buckets
// understate the slope, and a growth of exactly τ would be called harm. Tails below 0.02 % are too thin to tell.
func slope(tails []Tail, i int, timed float64) float64 {
	kappa := 1.0
	for _, pair := range [][2]int{{i - 1, i}, {i, i + 1}} {
		if pair[0] < 0 || pair[1] >= len(tails) || tails[pair[1]].Slow <= tailLeast/10*timed || tails[pair[0]].Bound <= 0 {
			continue
		}
		low, high := tails[pair[0]], tails[pair[1]]
		kappa = max(kappa, math.Log(low.Slow/high.Slow)/math.Log(high.Bound/low.Bound))
	}
	return min(steepest, kappa)
}

// scoreLatency takes a tick's cells into the bounds' scores; back scores both directions, proving the bounds as well.
func scoreLatency(bounds []slower, cells []cell, weight float64, back, proving bool, clumping float64) []slower {
	bounds = slices.Clone(bounds)
	for b := range bounds {
		bounds[b] = bounds[b].tick(b, cells, weight, back, proving, clumping)
	}
	return bounds
}

// late counts the requests that did not get a good answer within a bound: those slower than it, and those that failed,
// however fast. A policy that heals failures by trying again turns fast failures into slow answers; that is no harm.
// Where a side is within both tolerances, so is the sum: the score stays an e-process.
func (h half) late(b int) half { return half{N: h.T, X: min(h.T, h.S[b]+h.X)} }

func (l slower) tick(b int, cells []cell, weight float64, back, proving bool, clumping float64) slower {
	l.Score = l.Score.strata(len(cells)).start(weight)
	var reverse evidence
	if back {
		reverse = newEvidence()
		if l.Back != nil {
			reverse = *l.Back
		}
		reverse = reverse.strata(len(cells)).start(weight)
	}
	var c, s half
	var halves [2]half
	for i, one := range cells {
		if b >= len(one.New.S) || b >= len(one.Old.S) {
			continue
		}
		x, y := one.New.late(b), one.Old.late(b)
		l.Score = scoreRatio(l.Score, i, x, y, l.Ratio)
		if back {
			reverse = scoreRatio(reverse, i, y, x, l.Ratio)
		}
		c, s, halves[i%2] = c.with(x), s.with(y), halves[i%2].with(y)
	}
	if back {
		l.Back = &reverse
	}
	l.New, l.Old = l.New.with(c), l.Old.with(s)
	l.Clumps = l.Clumps.add(halves[0].X, halves[0].N, halves[1].X, halves[1].N)
	if proving && !l.Beyond {
		phi := l.Phi
		if phi <= 0 {
			phi = max(clumping, l.Clumps.phi())
		}
		l.Down = l.Down.ratio(l.margins(), c.X, c.N, s.X, s.N, phi)
	}
	return l
}

// margins are the slowMargins as ratios of tails at the bound.
func (l slower) margins() [6]float64 {
	ms := slowMargins()
	for i := range ms {
		ms[i] = math.Pow(ms[i], l.Kappa)
	}
	return ms
}

// slowShown is the smallest growth of latency that every bound rejects at a confidence, +Inf where none is; 1 where
// there is nothing to ask (JUDGE.md section 2, latBound).
func slowShown(bounds []slower, confidence float64) float64 {
	if !slices.ContainsFunc(bounds, func(l slower) bool { return !l.Beyond }) {
		return 1
	}
	for i, m := range slowMargins() {
		weak := func(l slower) bool { return !l.Beyond && l.Down.mean(i) < 1/(1-confidence) }
		if !slices.ContainsFunc(bounds, weak) {
			return m
		}
	}
	return math.Inf(1)
}
