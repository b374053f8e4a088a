package metrics

import (
	"math"
	"testing"
	"time"
)

// The harm before a rollback has the values that JUDGE.md section 2 gives: 138, 61, 20 and 12 requests.
func TestHarmed(t *testing.T) {
	for ratio, want := range map[float64]float64{1.5: 138, 2: 61, 5: 20, 10: 12} {
		if got := Harmed(Traffic{ErrorRate: 0.001, Clump: 1}, 0.01, ratio); math.Abs(got-want) > 0.03*want {
			t.Errorf("%g×: %.1f requests, want %g", ratio, got, want)
		}
	}
	if got := Harmed(Traffic{ErrorRate: 0.001}, 0.01, 1.1); !math.IsInf(got, 1) {
		t.Error("a tolerated harm is found:", got)
	}
	if got := Harmed(Traffic{RPS: 200, ErrorRate: 0.001}, 0.01, 1000); got < 54 || got > 65 {
		t.Error("everything fails:", got)
	}
}

func TestPlannedNumbers(t *testing.T) {
	service := Traffic{RPS: 200, ErrorRate: 0.001, Clump: 1, Phi: 1}
	if b := ReachableBound(service, 0.5, 20*time.Minute, 0.95); b != 1.5 {
		t.Error("bound", b)
	}
	if b := ReachableBound(Traffic{RPS: 0.01, ErrorRate: 0.001}, 0.5, time.Minute, 0.95); !math.IsInf(b, 1) {
		t.Error("a bound from nothing:", b)
	}
	steps := []PlannedLength{
		{Kind: StepWatch, Share: 0.01, Min: time.Minute, Max: 10 * time.Minute, MinRequests: 20},
		{Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, MinRequests: 20},
		{Kind: StepBake, Share: 0.95, Min: 5 * time.Minute, Max: 10 * time.Minute, MinRequests: 20},
	}
	expected, longest := GoodLength(service, steps, 2, 0.95, 15*time.Second)
	if expected < 8*time.Minute || expected > 12*time.Minute || longest != 40*time.Minute {
		t.Error(expected, longest)
	}
	if got := Dropped(2, steps); len(got) != 1 || got[0] != 0 {
		t.Error("dropped", got)
	}
	if got := Dropped(0, steps); got != nil {
		t.Error("dropped without knowing:", got)
	}
}
