package scenes

import (
	"math/rand/v2"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// Refusals are shares of the requests that the new and the old policy refuse by design, in clumps of a mean size; Bunched,
// all of four ticks come in one.
type Refusals struct {
	New, Old, Clump float64
	Bunched         bool
}

// take adds the refusals of a pod's interval; a refused request is one that failed.
func (f Refusals) take(r *rand.Rand, sides map[metrics.Side]metrics.Counts, base float64, since time.Duration) {
	const tick = 15 * time.Second
	for _, side := range []metrics.Side{metrics.New, metrics.Old} {
		share := f.Old
		if side == metrics.New {
			share = f.New
		}
		if f.Bunched && since/tick%4 != 0 {
			continue
		}
		if f.Bunched {
			share *= 4
		}
		c, ok := sides[side]
		if !ok || share <= 0 {
			continue
		}
		c.Refused = float64(draw.Clumped(r, c.Requests*(1-base), share, max(1, f.Clump)))
		c.Errors += c.Refused
		c.Requests = max(c.Requests, c.Errors)
		sides[side] = c
	}
}
