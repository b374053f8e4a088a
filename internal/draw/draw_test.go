package draw_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/meshpol/meshpol/internal/draw"
)

// Means and variances are those of the laws, on both sides of where they are approximated.
func TestMoments(t *testing.T) {
	const n = 40_000
	r := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		draw           func() int
		mean, variance float64
	}{
		"poisson 0":       {func() int { return draw.Poisson(r, 0) }, 0, 0},
		"poisson 3":       {func() int { return draw.Poisson(r, 3) }, 3, 3},
		"poisson 59":      {func() int { return draw.Poisson(r, 59) }, 59, 59},
		"poisson 400":     {func() int { return draw.Poisson(r, 400) }, 400, 400},
		"binomial rare":   {func() int { return draw.Binomial(r, 1000, 0.002) }, 2, 1.996},
		"binomial half":   {func() int { return draw.Binomial(r, 100, 0.5) }, 50, 25},
		"binomial common": {func() int { return draw.Binomial(r, 50, 0.9) }, 45, 4.5},
		"binomial many":   {func() int { return draw.Binomial(r, 10_000, 0.3) }, 3000, 2100},
		"binomial all":    {func() int { return draw.Binomial(r, 7, 1) }, 7, 0},
		"binomial none":   {func() int { return draw.Binomial(r, -1, 0.5) }, 0, 0},
		"clumps":          {func() int { return draw.ClumpSizes(r, 5, 4) }, 20, 60},
		"clumped":         {func() int { return draw.Clumped(r, 2, 0.5, 4) }, 1, 7}, // more than there are requests, too
		"not clumped":     {func() int { return draw.Clumped(r, 1000, 0.01, 1) }, 10, 10},
		"often":           {func() int { return draw.Clumped(r, 10, 0.5, 1) }, 5, 2.5},
		"slow ones":       {func() int { return draw.Above(r, 100, []float64{10, 40, 90}, 40)[1] }, 50, 25},
	} {
		sum, squares := 0.0, 0.0
		for range n {
			v := float64(c.draw())
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / n
		variance := squares/n - mean*mean
		if off := math.Abs(mean - c.mean); off > 5*math.Sqrt(c.variance/n)+1e-9 || math.Abs(variance-c.variance) > 0.1*c.variance+1e-9 {
			t.Errorf("%s: mean %.3f, variance %.3f; want %.3f, %.3f", name, mean, variance, c.mean, c.variance)
		}
	}
}
