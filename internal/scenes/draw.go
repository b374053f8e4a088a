package scenes

import (
	"math"
	"math/rand/v2"

	"github.com/meshpol/meshpol/internal/draw"
)

// Clumped draws errors among about n requests at rate p, in clumps of geometric size with that mean; 1 is independent.
// Clumps are not cut at n, as retries add requests.
func Clumped(r *rand.Rand, n, p, mean float64) int {
	if mean <= 1 {
		if p < 0.05 {
			return draw.Poisson(r, n*p)
		}
		return draw.Binomial(r, int(n+0.5), p)
	}
	return draw.ClumpSizes(r, draw.Poisson(r, n*p/mean), mean)
}

// Tail is the share of requests slower than a bound in milliseconds: log-normal with a median of 40 ms times scale and
// sigma 0.8, whose 99th percentile is 257 ms.
func Tail(bound, scale float64) float64 {
	return 0.5 * math.Erfc(math.Log(bound/(40*scale))/0.8/math.Sqrt2)
}
