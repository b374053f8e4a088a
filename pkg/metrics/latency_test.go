package metrics

import (
	"math"
	"strings"
	"testing"
	"time"
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

// A policy that tries again makes slow answers of fast failures: as many requests as before do not get a good answer in
// time, so that it is no harm. Without the failures on the old side the same slow answers are.
func TestHealedFailuresAreNoSlowRequests(t *testing.T) {
	draw := func(share, oldErrors, newSlow float64) func(time.Time) Tick {
		return func(from time.Time) Tick {
			tick := seen(from, 15*time.Second, 4, 4000*share, 0, 4000*(1-share), oldErrors*4000*(1-share))
			for pod, sides := range tick.Pods {
				c, s := sides[New], sides[Old]
				c.Timed, s.Timed = c.Requests, s.Requests
				c.Slow = map[float64]float64{10: 0.1 * c.Timed, 25: newSlow * c.Timed, 50: 0.003 * c.Timed}
				s.Slow = map[float64]float64{10: 0.1 * s.Timed, 25: 0.006 * s.Timed, 50: 0.003 * s.Timed}
				tick.Pods[pod] = map[Side]Counts{New: c, Old: s}
			}
			return tick
		}
	}
	for _, c := range []struct {
		name      string
		oldErrors float64
		want      Verdict
	}{{"healed", 0.05, Pass}, {"slow", 0, Fail}} {
		t.Run(c.name, func(t *testing.T) {
			j, err := NewJudge(DefaultJudgeConfig())
			if err != nil {
				t.Fatal(err)
			}
			stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: time.Minute, Max: 5 * time.Minute, Started: start()}
			state, _ := ask(j, State{}, stage, time.Minute, draw(0.5, 0, 0.006))
			watch := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.25, Min: 3 * time.Minute, Max: 10 * time.Minute, Started: start().Add(time.Minute)}
			_, got := ask(j, state, watch, 3*time.Minute, draw(0.25, c.oldErrors, 0.016))
			if got.Verdict != c.want {
				t.Errorf("%s: %s, want %s", got.Verdict, got.Reason, c.want)
			}
		})
	}
}

func TestTooFewTimedRequestsAreSaid(t *testing.T) {
	judge, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		t.Fatal(err)
	}
	stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute, MinRequests: 200, Started: start()}
	for each, want := range map[float64]bool{50: true, 200: false} {
		_, j := ask(judge, State{}, stage, 2*time.Minute, func(from time.Time) Tick {
			tick := seen(from, 15*time.Second, 4, 100, 0, 100, 0)
			for _, sides := range tick.Pods {
				for side, c := range sides {
					c.Timed, c.Slow = each/8, map[float64]float64{25: each / 80}
					sides[side] = c
				}
			}
			return tick
		})
		if said := strings.Contains(j.Reason, "only 400 of 1,000 timed requests, so latency will not be compared"); said != want || j.Verdict != Pass {
			t.Errorf("%v timed requests in 15 s: %s, %s", each, j.Verdict, j.Reason)
		}
	}
}
