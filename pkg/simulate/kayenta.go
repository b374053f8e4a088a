package simulate

import (
	"math"
	"slices"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// Kayenta's choices: a steady share, a look at all minutes so far every ten of them, fifty points in the end, the 98 %
// interval and the tolerance of its classifier.
const (
	kayentaWeight    = 10
	kayentaLook      = 10
	kayentaPoints    = 50
	kayentaQuantile  = 2.326
	kayentaTolerance = 0.25
)

// kayenta compares a point a minute of both sides with a Mann-Whitney test, the shares of errors and the 99th
// percentiles, both critical and both with mustHaveData: one that is high ends it, and so does a look without points.
func kayenta(w *world) outcome {
	s := &shift{world: w, now: w.start, weight: kayentaWeight}
	var errors, slow [2][]float64
	for minute := 1; minute <= kayentaPoints; minute++ {
		ticks := s.minute()
		fresh, old := look(ticks, metrics.New), look(ticks, metrics.Old)
		if fresh.Requests > 0 && old.Requests > 0 {
			errors = points(errors, fresh.Errors/fresh.Requests, old.Errors/old.Requests)
			slow = points(slow, p99(fresh.Counts), p99(old.Counts))
		}
		switch {
		case minute%kayentaLook != 0:
		case len(errors[0]) == 0:
			return s.end(NoData)
		case high(errors) || high(slow):
			return s.end(Failed)
		}
	}
	return s.end(Passed)
}

func points(of [2][]float64, fresh, old float64) [2][]float64 {
	return [2][]float64{append(of[0], fresh), append(of[1], old)}
}

// high tells that the interval of the shift between the sides lies above a quarter of the estimated shift: the test's
// own interval, from the ordered differences of all pairs.
func high(of [2][]float64) bool {
	n := len(of[0])
	if n == 0 {
		return false
	}
	differences := make([]float64, 0, n*n)
	for _, a := range of[0] {
		for _, b := range of[1] {
			differences = append(differences, a-b)
		}
	}
	slices.Sort(differences)
	pairs := float64(n) * float64(n)
	low := int(pairs/2 - kayentaQuantile*math.Sqrt(pairs*float64(2*n+1)/12))
	if low < 0 {
		return false
	}
	shift := differences[len(differences)/2]
	return differences[low] > 0 && differences[low] > kayentaTolerance*math.Abs(shift)
}
