package metrics

import (
	"cmp"
	"math"
	"slices"
)

// The choice of latency bounds: tails of the old policy between 0.2 % and 40 %, at most so many, plus the first beyond,
// from at least so many timed requests (ANALYSIS.md section 5).
const (
	tailLeast     = 0.002
	tailMost      = 0.4
	tailBounds    = 2
	tailRequests  = 1000
	steepest      = 8.0
	beyondSlopeOf = 1.1
)

// tail counts requests of the old policy that were slower than a bound in milliseconds.
type tail struct {
	Bound float64 `json:"b"`
	Slow  float64 `json:"n"`
}

func addTails(tails []tail, slow map[float64]float64) []tail {
	tails = slices.Clone(tails)
	for bound, n := range slow {
		i, found := slices.BinarySearchFunc(tails, bound, func(t tail, b float64) int { return cmp.Compare(t.Bound, b) })
		if !found {
			tails = slices.Insert(tails, i, tail{Bound: bound})
		}
		tails[i].Slow += n
	}
	return tails
}

// slower is the score of one bucket bound: a request slower than it is a bad event. Ratio is the tolerated ratio of the
// tails. New and Old are the step's own counts, for the reason.
type slower struct {
	Bound float64  `json:"b"`
	Ratio float64  `json:"r"`
	Score evidence `json:"e"`
	New   half     `json:"c"`
	Old   half     `json:"s"`
}

// chooseBounds picks bounds and their ratios from the old policy's tails. It uses nothing of what will be scored.
func chooseBounds(tails []tail, timed, tolerance float64) []slower {
	if timed < tailRequests || tolerance <= 0 {
		return nil
	}
	var usable []int
	beyond := -1
	for i, t := range tails {
		switch share := t.Slow / timed; {
		case share >= tailLeast && share <= tailMost:
			usable = append(usable, i)
		case share < tailLeast && beyond < 0:
			beyond = i
		}
	}
	chosen := spread(usable, tailBounds)
	if beyond >= 0 {
		chosen = append(chosen, beyond)
	}
	var out []slower
	for _, i := range chosen {
		out = append(out, slower{Bound: tails[i].Bound, Ratio: tolerated(tails, i, tolerance), Score: newEvidence()})
	}
	return out
}

// spread keeps at most n of the indexes, evenly, the last one among them.
func spread(from []int, n int) []int {
	if len(from) <= n {
		return from
	}
	var out []int
	for i := 1; i <= n; i++ {
		out = append(out, from[i*len(from)/n-1])
	}
	return out
}

// tolerated is (1+τ)^κ: κ is the steeper of the two slopes of log tail over log bound beside the bound. Coarse buckets
// understate the slope, and a growth of exactly τ would be called harm. A bound that was never exceeded gets 1+τ.
func tolerated(tails []tail, i int, tolerance float64) float64 {
	if tails[i].Slow == 0 {
		return max(beyondSlopeOf, 1+tolerance)
	}
	kappa := 1.0
	for _, pair := range [][2]int{{i - 1, i}, {i, i + 1}} {
		if pair[0] < 0 || pair[1] >= len(tails) || tails[pair[1]].Slow == 0 || tails[pair[0]].Bound <= 0 {
			continue
		}
		low, high := tails[pair[0]], tails[pair[1]]
		kappa = max(kappa, math.Log(low.Slow/high.Slow)/math.Log(high.Bound/low.Bound))
	}
	return math.Pow(1+tolerance, min(steepest, kappa))
}

// scoreLatency takes a tick's cells into the bounds' scores.
func scoreLatency(bounds []slower, cells []cell, weight float64) []slower {
	bounds = slices.Clone(bounds)
	for b := range bounds {
		l := bounds[b]
		l.Score = l.Score.strata(len(cells)).start(weight)
		for i, c := range cells {
			if b >= len(c.New.S) || b >= len(c.Old.S) {
				continue
			}
			l.New = half{T: l.New.T + c.New.T, X: l.New.X + c.New.S[b]}
			l.Old = half{T: l.Old.T + c.Old.T, X: l.Old.X + c.Old.S[b]}
			if m := c.New.S[b] + c.Old.S[b]; m > 0 && c.New.T > 0 && c.Old.T > 0 {
				l.Score = l.Score.once(i, c.New.S[b]/m, nullMean(c.New.T, c.Old.T, l.Ratio))
			}
		}
		bounds[b] = l
	}
	return bounds
}
