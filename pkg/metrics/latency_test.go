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
	if len(bounds) != 4 || bounds[0] != 50 || bounds[1] != 100 || bounds[2] != 250 || bounds[3] != 500 || !got[3].Beyond {
		t.Fatal("bounds", bounds)
	}
	steep := math.Pow(1.1, math.Log(3900.0/1300)/math.Log(2))
	if math.Abs(got[0].Ratio-steep) > 1e-9 {
		t.Errorf("ratio at 50 ms %v, want the steeper slope's %v", got[0].Ratio, steep)
	}
	if k := slope(tails, 6, 10000); k != 1 {
		t.Errorf("a bound never exceeded has the slope %v", k)
	}
	if k := slope([]Tail{{Bound: 100, Slow: 1000}, {Bound: 101, Slow: 1}}, 0, 1000); k != steepest {
		t.Errorf("the slope is not capped: %v", k)
	}
}

func TestSpread(t *testing.T) {
	if got := spread([]int{1, 2, 3, 4, 5}, 2); len(got) != 2 || got[1] != 5 {
		t.Error(got)
	}
}
