package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// A service of few client pods may have all of them in one half of its history. Its latency is compared all the same.
func TestAHistoryOfOneHalfStillJudgesLatency(t *testing.T) {
	h := History{Tick: time.Minute, Bounds: []float64{1, 50, 100, 250}}
	for range 60 {
		h.Ticks = append(h.Ticks, [2]HalfCount{{}, {Requests: 6000, Errors: 6, Timed: 6000, Slow: []float64{6000, 1200, 120, 6}}})
	}
	b := h.Baseline()
	chosen := chooseBounds(b.Tails, b.Timed, 0.1)
	if len(chosen) != 3 || chosen[0].Bound != 50 || chosen[1].Bound != 100 || !chosen[2].Beyond {
		t.Fatalf("bounds %+v of tails %+v", chosen, b.Tails)
	}
}

// What the halves cannot tell, the rollout's own ticks may: φ of 3 is for services with hardly an error.
func TestAHistoryOfOneHalfDoesNotHideClumps(t *testing.T) {
	h := History{Tick: time.Minute}
	for range 360 {
		h.Ticks = append(h.Ticks, [2]HalfCount{{Requests: 6000, Errors: 6}, {}})
	}
	s := newScore(h.Baseline())
	for i := range 40 {
		s.Halves = s.Halves.add(float64(20*(i%2)), 1000, float64(20*((i+1)%2)), 1000)
	}
	if got := s.clumping(3); got < 10 {
		t.Errorf("φ = %v with clumps of 20", got)
	}
	few := newScore(History{Tick: time.Minute, Ticks: [][2]HalfCount{{{Requests: 6000, Errors: 1}, {}}}}.Baseline())
	if few.Halves = s.Halves; few.clumping(3) != 3 {
		t.Error("with few errors φ is the history's 3")
	}
}

// Pods that count nothing in a step's first interval (low traffic, a scrape that is longer than a tick) get strata of
// their own later: without them the guard would be off, and one sick pod could take a policy back.
func TestPodsThatComeLaterGetStrata(t *testing.T) {
	for _, byInstance := range []bool{false, true} {
		j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
		step := JudgeStep{Index: 1, Kind: StepWatch, ByInstance: byInstance, Share: 0.25, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
		state, now := State{}, start()
		var got Judgement
		for i := range 20 {
			tick := seen(now, 15*time.Second, 0, 0, 0, 0, 0)
			for p := range 4 {
				pod := fmt.Sprintf("shop/pod-%d", p)
				sides := map[Side]Counts{New: {Requests: 100}, Old: {Requests: 300, Errors: 1}}
				if byInstance {
					tick.Pods[pod+"-old"] = map[Side]Counts{Old: sides[Old]}
					delete(sides, Old)
				}
				if p == 0 { // the only sick pod, and the only one that counts at once
					sides[New] = Counts{Requests: 100, Errors: 100}
				}
				if i > 0 || p == 0 {
					tick.Pods[pod] = sides
				}
			}
			now = now.Add(15 * time.Second)
			if state, got = j.Step(state, step, tick, now); got.Verdict == Fail {
				t.Fatalf("by instance %v, interval %d: one sick pod: %s", byInstance, i, got.Reason)
			}
		}
	}
}

// A history may be of histograms with other buckets than those that are counted now. Latency is judged by what both have,
// or by what step 0 shows where that is nothing.
func TestAHistoryOfOtherBucketsStillJudgesLatency(t *testing.T) {
	for _, bounds := range [][]float64{{20, 60, 250}, {20, 60, 270}} {
		h := pastOf(0.001)
		h.Bounds = bounds
		for i := range h.Ticks {
			for k := range h.Ticks[i] {
				h.Ticks[i][k].Timed, h.Ticks[i][k].Slow = 1500, []float64{1000, 300, 6}
			}
		}
		j := judge(t, func(c *JudgeConfig) { c.History = h })
		w := newWorld(4)
		w.slow = 1 // twice as slow
		got, step, after := w.run(j, ramp())
		if got.Verdict != Fail || after > 10*time.Minute {
			t.Errorf("bounds %v: %s at %.0f %% after %s: %s", bounds, got.Verdict, 100*step.Share, after, got.Reason)
		}
	}
}

// A history with numbers that no service has says nothing, and does not keep a score from being saved.
func TestADamagedHistoryIsNone(t *testing.T) {
	for _, n := range []float64{1e308, math.Inf(1), math.NaN()} {
		h := History{Tick: time.Minute, Ticks: [][2]HalfCount{{{Requests: n, Errors: 1}, {Requests: n, Errors: 1}}}}
		j := judge(t, func(c *JudgeConfig) { c.History = h })
		step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.5, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
		if state, got := ask(j, State{}, step, time.Minute, steady(1500, 1, 1500, 1)); got.Verdict != Pass || len(state.Detail) == 0 {
			t.Errorf("%v: %s: %s", n, got.Verdict, got.Reason)
		}
		if _, known := ForecastOf(h, forecastSteps(), DefaultJudgeConfig()); known {
			t.Errorf("%v: a forecast", n)
		}
	}
}

// A forecast is always of numbers that can be printed.
func TestAForecastIsFinite(t *testing.T) {
	for _, c := range []struct{ rps, rate float64 }{{0.001, 0}, {0.001, 1}, {200, 1}, {200, 0.95}, {200, 1.2}, {1e6, 0}, {1e6, 1}, {1e-12, 0.5}} {
		h := History{Tick: time.Minute}
		for range 360 {
			h.Ticks = append(h.Ticks, [2]HalfCount{{Requests: c.rps * 30, Errors: c.rps * 30 * c.rate}, {Requests: c.rps * 30, Errors: c.rps * 30 * c.rate}})
		}
		config := DefaultJudgeConfig()
		config.Tick = 0
		f, known := ForecastOf(h, forecastSteps(), config)
		if !known || f.Expected < 12*time.Minute || f.Expected > f.Longest || f.Traffic.ErrorRate > 1 {
			t.Errorf("%+v: %+v", c, f)
		}
		for _, harm := range f.Harms {
			if math.IsInf(harm.Requests, 0) || math.IsNaN(harm.Requests) || harm.Requests < 0 {
				t.Errorf("%+v: harm %+v", c, harm)
			}
		}
	}
}

// What the old side suffers alone says nothing of how the new side compares usually: harm must not pass on it.
func TestAnIncidentOfTheOldSideAloneProvesNoBound(t *testing.T) {
	for name, past := range map[string]History{"with a history": pastOf(0.0003), "without one": {}} {
		t.Run(name, func(t *testing.T) {
			j := judge(t, func(c *JudgeConfig) { c.History = past })
			stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute, MinRequests: 200, Started: start()}
			state, _ := ask(j, State{}, stage, 2*time.Minute, steady(1500, 0, 1500, 1))
			step := JudgeStep{Index: 1, Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, Started: start().Add(2 * time.Minute)}
			// Ten times the errors of the old side, and an interval in which a fifth of that fails.
			state, _ = ask(j, state, step, 15*time.Second, steady(1500, 5, 1500, 0))
			_, got := j.Step(state, step, seen(step.Started.Add(15*time.Second), 15*time.Second, 4, 1500, 5, 1500, 300), step.Started.Add(30*time.Second))
			if got.Bound > 0 && got.Bound <= 5 {
				t.Errorf("a bound of %v was shown: %s", got.Bound, got.Reason)
			}
		})
	}
}

// A policy that makes both sides fail, such as a storm of retries, does not reach everybody: not one that comes and goes,
// and not one that stays below a gross failing where no history says what was usual.
func TestHarmOfBothSidesDoesNotReachEverybody(t *testing.T) {
	for _, c := range []struct {
		name   string
		past   History
		rate   func(interval int) float64
		want   Verdict
		at     StepKind
		reason string
	}{
		{"comes and goes", pastOf(0.001), func(i int) float64 { return 0.5 * float64(1-i%2) }, Inconclusive, StepWatch, "both sides failed in 62 of 124 intervals"},
		{"in a quarter of the intervals", pastOf(0.001), func(i int) float64 {
			if i%4 == 3 {
				return 0.5
			}
			return 0.001
		}, Inconclusive, StepWatch, "shared incident"},
		{"4 % without a history", History{}, func(int) float64 { return 0.04 }, Inconclusive, StepProof, "an incident is under way"},
		{"2 % without a history", History{}, func(int) float64 { return 0.02 }, Fail, StepFold, "against 0.1 %"},
	} {
		j := judge(t, func(config *JudgeConfig) { config.History = c.past })
		now, course := start(), Begin(j)
		var last Judgement
		var step JudgeStep
		for _, step = range append(ramp(), JudgeStep{Index: 6, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 10 * time.Minute}) {
			step.Started, last.Verdict = now, Wait
			for i := 0; last.Verdict == Wait; i++ {
				rate := 0.001
				if step.Kind != StepStage {
					rate = c.rate(i)
				}
				nc, ns := 3000*step.Share, 3000*(1-step.Share)
				tick := seen(now, 15*time.Second, 8, nc, nc*rate, ns, ns*rate)
				now = now.Add(15 * time.Second)
				last = course.Step(step, tick, now)
			}
			if last.Verdict != Pass {
				break
			}
		}
		if last.Verdict != c.want || step.Kind != c.at || last.Pause != (c.want == Fail) || !strings.Contains(last.Reason, c.reason) {
			t.Errorf("%s: %s at %s: %s", c.name, last.Verdict, step.Kind, last.Reason)
		}
	}
}

// TestRefusalsAreNamed: whoever tightens a breaker and sees it refuse learns that it is the policy, and how to allow it.
func TestRefusalsAreNamed(t *testing.T) {
	for allowed, want := range map[float64]bool{0: true, 0.5: false} {
		config := DefaultJudgeConfig()
		config.AllowRefused = allowed
		l := look{c: config, step: JudgeStep{Index: 1, Kind: StepWatch}, fresh: State{New: Counts{Requests: 200, Errors: 110, Refused: 107}, Old: Counts{Requests: 2000}}}
		if got := l.comparison(); strings.Contains(got, "107 of the new ones are the policy's own doing") != want {
			t.Errorf("allowed %g: %s", allowed, got)
		}
	}
}
