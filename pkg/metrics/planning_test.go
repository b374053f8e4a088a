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

func forecastSteps() []PlannedLength {
	watch := func(share float64, least time.Duration) PlannedLength {
		return PlannedLength{Kind: StepWatch, Share: share, Min: least, Max: 10 * time.Minute, MinRequests: 20}
	}
	return []PlannedLength{
		{Kind: StepStage, Min: 2 * time.Minute, Max: 5 * time.Minute},
		watch(0.01, time.Minute), watch(0.05, time.Minute), watch(0.25, 2*time.Minute),
		{Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, MinRequests: 20},
		{Kind: StepBake, Share: 0.95, Min: 5 * time.Minute, Max: 10 * time.Minute, MinRequests: 20},
	}
}

// The forecast of an ordinary service is what JUDGE.md section 4 found by simulation: 11 minutes and 2 of step 0, 1.5×
// at 1,000 requests a second; a bound of 3× after all of the proof at 10.
func TestForecast(t *testing.T) {
	of := func(rps, rate float64) Forecast {
		h := History{Tick: time.Minute}
		for range int(HistoryLength / time.Minute) {
			h.Ticks = append(h.Ticks, [2]HalfCount{{Requests: rps * 30, Errors: rps * 30 * rate}, {Requests: rps * 30, Errors: rps * 30 * rate}})
		}
		f, known := ForecastOf(h, forecastSteps(), DefaultJudgeConfig())
		if !known {
			t.Fatal("nothing known of", rps, rate)
		}
		return f
	}
	if f := of(1000, 0.001); f.Expected != 13*time.Minute || !f.Reached || f.Bound != 1.5 || f.Longest != 65*time.Minute {
		t.Errorf("1,000 requests/s: %+v", f)
	}
	if f := of(10, 0.001); f.Reached || f.Bound < 2 || f.Bound > 5 || f.Proof != 20*time.Minute {
		t.Errorf("10 requests/s: %+v", f)
	}
	if f := of(0.1, 0.001); f.Bound != 0 || f.Reached {
		t.Errorf("a bound from next to nothing: %+v", f)
	}
	harms := of(200, 0.001).Harms
	if len(harms) != 4 || math.Abs(harms[0].Requests-61) > 2 || !harms[3].All || harms[3].Requests < 54 || harms[3].Requests > 65 {
		t.Errorf("harms %+v", harms)
	}
	if _, known := ForecastOf(History{}, forecastSteps(), DefaultJudgeConfig()); known {
		t.Error("a forecast from nothing")
	}
}
