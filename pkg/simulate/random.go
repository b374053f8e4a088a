package simulate

import (
	"math"
	"math/rand/v2"
)

// source is a generator of its own for a purpose, so that what one part draws moves nothing in another.
func source(seed, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(stir(seed), stir(seed^stir(purpose))))
}

// stir is the finalizer of SplitMix64: near seeds give far ones.
func stir(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// From these means and variances on a normal number is as good as an exact one, and much faster.
const (
	normalMean     = 60
	normalVariance = 60
)

func poisson(r *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > normalMean {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	k, p := 0, r.Float64()
	for limit := math.Exp(-mean); p > limit; k++ {
		p *= r.Float64()
	}
	return k
}

// binomial counts the successes of n tries: gaps between them where they are few, a normal number where they are many.
func binomial(r *rand.Rand, n int, p float64) int {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - binomial(r, n, 1-p)
	}
	mean := float64(n) * p
	if v := mean * (1 - p); v > normalVariance {
		return min(n, max(0, int(math.Round(mean+math.Sqrt(v)*r.NormFloat64()))))
	}
	l, hits, at := math.Log1p(-p), 0, 0
	for {
		gap := math.Log(1-r.Float64()) / l
		if gap >= float64(n-at) {
			return hits
		}
		at += int(gap) + 1
		if at > n {
			return hits
		}
		hits++
	}
}

// clumped counts errors that come in clumps of a geometric size with a mean.
func clumped(r *rand.Rand, n int, p, mean float64) int {
	if mean <= 1 {
		return binomial(r, n, p)
	}
	clumps := poisson(r, float64(n)*p/mean)
	hits, l := clumps, math.Log1p(-1/mean)
	for range clumps {
		hits += int(math.Log(1-r.Float64()) / l)
	}
	return min(n, hits)
}
