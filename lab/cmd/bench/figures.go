package main

import (
	"math"
	"slices"
	"time"
)

// Figures sum measurements up.
type Figures struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	P90    float64 `json:"p90"`
	Max    float64 `json:"max"`
}

// figuresOf sums values up; without any, all is zero.
func figuresOf(values []float64) Figures {
	if len(values) == 0 {
		return Figures{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Figures{N: len(sorted), Median: quantile(sorted, 0.5), Min: sorted[0], P90: quantile(sorted, 0.9), Max: sorted[len(sorted)-1]}
}

// quantile is the value below which a share of the sorted values lies, between the two nearest ones.
func quantile(sorted []float64, share float64) float64 {
	place := share * float64(len(sorted)-1)
	low := int(math.Floor(place))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(place-float64(low))
}

// worst is the value that is furthest from zero.
func (f Figures) worst() float64 { return max(math.Abs(f.Min), math.Abs(f.Max)) }

// once is a single number that was counted over n cases.
func once(n int, value float64) Figures {
	return Figures{N: n, Median: value, Min: value, P90: value, Max: value}
}

func secondsOf(all []time.Duration) []float64 {
	out := make([]float64, 0, len(all))
	for _, d := range all {
		out = append(out, d.Seconds())
	}
	return out
}
