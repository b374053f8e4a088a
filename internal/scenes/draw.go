package scenes

import (
	"math"
	"math/rand/v2"
)

// Poisson draws a count of mean mu: exactly up to 30, by the normal law beyond.
func Poisson(r *rand.Rand, mu float64) int {
	if mu > 30 {
		return max(0, int(math.Round(mu+math.Sqrt(mu)*r.NormFloat64())))
	}
	k, p := 0, r.Float64()
	for limit := math.Exp(-mu); p > limit; k++ {
		p *= r.Float64()
	}
	return k
}

// Binomial draws hits among n: exactly where the variance is at most 60, by the normal law beyond.
func Binomial(r *rand.Rand, n int, p float64) int {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - Binomial(r, n, 1-p)
	}
	if v := float64(n) * p * (1 - p); v > 60 {
		return min(n, max(0, int(math.Round(float64(n)*p+math.Sqrt(v)*r.NormFloat64()))))
	}
	l, x, pos := math.Log1p(-p), 0, 0
	for {
		if pos += int(math.Log(1-r.Float64())/l) + 1; pos > n {
			return x
		}
		x++
	}
}

// Clumped draws errors among about n requests at rate p, in clumps of geometric size with that mean; 1 is independent.
// Clumps are not cut at n, as retries add requests.
func Clumped(r *rand.Rand, n, p, mean float64) int {
	if mean <= 1 {
		if p < 0.05 {
			return Poisson(r, n*p)
		}
		return Binomial(r, int(n+0.5), p)
	}
	c := Poisson(r, n*p/mean)
	x, l := c, math.Log1p(-1/mean)
	for range c {
		x += int(math.Log(1-r.Float64()) / l)
	}
	return x
}

// Tail is the share of requests slower than a bound in milliseconds: log-normal with a median of 40 ms times scale and
// sigma 0.8, whose 99th percentile is 257 ms.
func Tail(bound, scale float64) float64 {
	return 0.5 * math.Erfc(math.Log(bound/(40*scale))/0.8/math.Sqrt2)
}
