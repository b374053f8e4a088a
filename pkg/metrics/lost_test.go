package metrics

import (
	"strings"
	"testing"
	"time"
)

// TestFirstIntervalOfAnExposure: what two scrapes hold together of the time before and after the exposure began counts
// for neither side, be their series old or born between the two. Where all series are born with the rollout, all count.
func TestFirstIntervalOfAnExposure(t *testing.T) {
	q := Query{Rules: []SeriesRule{{NameContains: "half", Side: New, Class: ClassCode}, {NameContains: "none", Side: Old, Class: ClassCode}}}
	series := []Series{code("shop/a", "none", "200", 0, 1000, 5, 1200, 10, 1300, 15, 1400), code("shop/a", "half", "200", 10, 90, 15, 190)}
	for name, c := range map[string]struct {
		since    float64
		fromZero bool
		new, old float64
	}{
		"the exposure began at 6 s":                   {since: 6, new: 100, old: 100},
		"a runner goes on":                            {new: 190, old: 200},
		"the exposure began, series of the rollout's": {since: 6, fromZero: true, new: 190, old: 100},
	} {
		q.FromZero = c.fromZero
		counters := NewCounters(q)
		if c.since > 0 {
			counters = counters.SinceExposure(sec(c.since))
		}
		_, tick := counters.Step(series, sec(6), sec(16))
		if lost := map[bool]time.Duration{true: 4 * time.Second}[c.since > 0]; tick.Lost != lost {
			t.Errorf("%s: %s are lost, want %s", name, tick.Lost, lost)
		}
		if p := tick.Pods["shop/a"]; p[New].Requests != c.new || p[Old].Requests != c.old {
			t.Errorf("%s: %v, want %v and %v", name, p, c.new, c.old)
		}
	}
}

// TestBlindTimeIsNoObservation: a step is not over in which nothing was counted for most of its time.
func TestBlindTimeIsNoObservation(t *testing.T) {
	judge, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		t.Fatal(err)
	}
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.25, Min: 2 * time.Minute, Max: 10 * time.Minute, MinRequests: 20, Started: start()}
	for lost, want := range map[time.Duration]Verdict{0: Pass, 15 * time.Second: Pass, 30 * time.Second: Pass, time.Minute: Wait} {
		var state State
		var j Judgement
		for i, to := range []float64{60, 75, 90, 105, 120, 135} {
			from := []float64{0, 60, 75, 90, 105, 120}[i]
			tick := Tick{From: sec(from), To: sec(to), Newest: sec(to), Series: map[Side]int{New: 1, Old: 1}, Pods: map[string]map[Side]Counts{
				"shop/a": {New: {Requests: 250}, Old: {Requests: 750}}, "shop/b": {New: {Requests: 250}, Old: {Requests: 750}},
			}}
			if i == 0 {
				tick.Lost = lost
			}
			state, j = judge.Step(state, step, tick, sec(to))
		}
		if j.Verdict != want || want == Wait && !strings.Contains(j.Reason, "of 2 min") {
			t.Errorf("with %s lost: %s (%s), want %s", lost, j.Verdict, j.Reason, want)
		}
	}
}
