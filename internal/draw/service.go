package draw

import (
	"math"
	"math/rand/v2"
)

// Clumped draws errors among about n requests at rate p, in clumps of geometric size with that mean; 1 is independent.
// Clumps are not cut at n, since retries add requests: cutting would take errors from the side with fewer requests.
func Clumped(r *rand.Rand, n, p, mean float64) int {
	switch {
	case mean > 1:
		return ClumpSizes(r, Poisson(r, n*p/mean), mean)
	case p < 0.05:
		return Poisson(r, n*p)
	default:
		return Binomial(r, int(n+0.5), p)
	}
}

// sigma is the spread of latencies, which are log-normal: the 99th percentile is 6.4 times the median.
const sigma = 0.8

// Slower is the share of requests that take longer than a bound, where the median is one.
func Slower(bound, median float64) float64 {
	return math.Erfc(math.Log(bound/median)/(sigma*math.Sqrt2)) / 2
}

// Above draws how many of n requests take longer than each of the bounds, which ascend.
func Above(r *rand.Rand, n int, bounds []float64, median float64) []int {
	out, share := make([]int, len(bounds)), 1.0
	for i, b := range bounds {
		q := Slower(b, median)
		n = Binomial(r, n, min(1, q/share))
		out[i], share = n, max(q, 1e-300)
	}
	return out
}
