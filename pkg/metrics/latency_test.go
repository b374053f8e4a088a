package metrics

import (
	"math"
	"testing"
)

func TestBoundsAreChosenFromTheOldPolicy(t *testing.T) {
	tails := addTails(nil, map[float64]float64{1: 10000, 25: 7000, 50: 3900, 100: 1300, 250: 110, 500: 8, 1000: 0})
	if got := chooseBounds(tails, 999, 0.1); got != nil {
		t.Error("chosen from too few requests:", got)
	}
	if got := chooseBounds(tails, 10000, 0); got != nil {
		t.Error("chosen though turned off:", got)
	}
	got := chooseBounds(tails, 10000, 0.1)
	var bounds []float64
	for _, b := range got {
		bounds = append(bounds, b.Bound)
	}
	if len(bounds) != 3 || bounds[0] != 50 || bounds[1] != 250 || bounds[2] != 500 {
		t.Fatal("bounds", bounds)
	}
	steep := math.Pow(1.1, math.Log(3900.0/1300)/math.Log(2))
	if math.Abs(got[0].Ratio-steep) > 1e-9 {
		t.Errorf("ratio at 50 ms %v, want the steeper slope's %v", got[0].Ratio, steep)
	}
	if r := tolerated(tails, 6, 0.1); r != 1.1 {
		t.Errorf("a bound never exceeded tolerates %v", r)
	}
	if r := tolerated([]tail{{100, 1000}, {101, 1}}, 0, 0.1); r != math.Pow(1.1, steepest) {
		t.Errorf("the slope is not capped: %v", r)
	}
}

func TestSpread(t *testing.T) {
	if got := spread([]int{1, 2, 3, 4, 5}, 2); len(got) != 2 || got[1] != 5 {
		t.Error(got)
	}
}
