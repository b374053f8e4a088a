// Package draw draws the counts that simulations are made of, from a generator that the caller has seeded.
package draw

import (
	"math"
	"math/rand/v2"
)

// From this mean or variance on a normal number is as good as an exact one, and much faster.
const normalFrom = 60

// Poisson draws a count with a mean; 0 where the mean is not above 0.
func Poisson(r *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > normalFrom {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	k, p := 0, r.Float64()
	for limit := math.Exp(-mean); p > limit; k++ {
		p *= r.Float64()
	}
	return k
}

// Binomial counts the successes of n tries, each with the chance p: by the gaps between them where they are few, by a
// normal number where they are many.
func Binomial(r *rand.Rand, n int, p float64) int {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - Binomial(r, n, 1-p)
	}
	mean := float64(n) * p
	if v := mean * (1 - p); v > normalFrom {
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

// ClumpSizes is the sum of so many sizes of clumps, each geometric with a mean above 1, so at least 1.
func ClumpSizes(r *rand.Rand, clumps int, mean float64) int {
	sum, l := clumps, math.Log1p(-1/mean)
	for range clumps {
		sum += int(math.Log(1-r.Float64()) / l)
	}
	return sum
}
