package metrics_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/scenes"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// judgeOf is a judge that knows the scene's history.
func judgeOf(t *testing.T, s scenes.Scene, seed uint64) metrics.SequentialJudge {
	t.Helper()
	c := metrics.DefaultJudgeConfig()
	c.Steps, c.PlannedTicks = 5, 220
	c.History = s.History(seed, 6)
	j, err := metrics.NewJudge(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Harmless rollouts are taken back in at most 1 %, whatever the trouble (JUDGE.md section 4 has the rates of 45,000
// rollouts a row; here few of each must stay below a ceiling).
func TestHarmlessScenesPass(t *testing.T) {
	runs, taken := 0, 0
	for _, s := range []scenes.Scene{
		{Name: "nothing"},
		{Name: "clumps of 3", Clump: 3},
		{Name: "clumps of 10", Clump: 10, Base: 0.01},
		{Name: "clumps of 30", Clump: 30, Base: 0.01},
		{Name: "bursts", Bursts: 3},
		{Name: "sick pods", Sick: 0.25},
		{Name: "both 3 times", Both: 3, Clump: 3},
		{Name: "both 10 times", Both: 10},
		{Name: "both fail half for a minute", Outage: 0.5, OutageAt: 300},
		{Name: "edge of the tolerance", Ratio: 1.1},
		{Name: "latency with noise", Latency: true, Noise: 0.1},
		{Name: "edge of the latency", Latency: true, Slow: 1.1},
		{Name: "little traffic", RPS: 10, Clump: 3},
	} {
		s.RPS, s.Pods, s.Base, s.Clump = cmp.Or(s.RPS, 200), 8, cmp.Or(s.Base, 0.001), cmp.Or(s.Clump, 1)
		t.Run(s.Name, func(t *testing.T) {
			n := 60
			if s.Latency {
				n = 15
			}
			if testing.Short() {
				n /= 5
			}
			fails, ends := 0, map[metrics.Verdict]int{}
			j := judgeOf(t, s, 1)
			for i := range n {
				end := s.Run(j, uint64(5000+i), scenes.Ramp())
				ends[end.Judgement.Verdict]++
				if end.Judgement.Verdict == metrics.Fail {
					fails++
					t.Log(end.Step.Kind, end.Step.Share, end.Judgement.Reason)
				}
			}
			t.Log(n, "rollouts:", ends)
			runs, taken = runs+n, taken+fails
			if fails > 2 {
				t.Errorf("%d of %d harmless rollouts were taken back", fails, n)
			}
			if passed := ends[metrics.Pass]; passed < n*3/4 {
				t.Errorf("%d of %d passed: what never ends is never taken back", passed, n)
			}
		})
	}
	t.Logf("%d of %d harmless rollouts taken back", taken, runs)
	if taken > 2+runs/100 {
		t.Error("too many")
	}
}

// Harm is found within the spread of JUDGE.md section 4's table, base 0.1 %, independent errors.
func TestHarmIsFoundInTime(t *testing.T) {
	for _, c := range []struct {
		scene scenes.Scene
		// least of 30 rollouts are taken back; half of them within median, with at most so many requests harmed on average
		least  int
		median time.Duration
		harmed float64
	}{
		{scenes.Scene{Name: "all fail, 200 rps", RPS: 200, Fail: 1}, 30, 30 * time.Second, 60},
		{scenes.Scene{Name: "10 times, 200 rps", RPS: 200, Ratio: 10}, 30, 4 * time.Minute, 25},
		{scenes.Scene{Name: "5 times, 200 rps", RPS: 200, Ratio: 5}, 29, 5 * time.Minute, 35},
		{scenes.Scene{Name: "2 times, 200 rps", RPS: 200, Ratio: 2}, 26, 17 * time.Minute, 110},
		{scenes.Scene{Name: "2 times, 1,000 rps", RPS: 1000, Ratio: 2}, 29, 7 * time.Minute, 120},
		{scenes.Scene{Name: "10 times, 10 rps", RPS: 10, Ratio: 10}, 27, 16 * time.Minute, 25},
		{scenes.Scene{Name: "half slower, 200 rps", RPS: 200, Slow: 1.5, Latency: true}, 29, 3 * time.Minute, 1},
	} {
		t.Run(c.scene.Name, func(t *testing.T) {
			s := c.scene
			s.Pods, s.Base, s.Clump = 8, 0.001, 1
			j := judgeOf(t, s, 1)
			var times []time.Duration
			harmed := 0.0
			for i := range 30 {
				end := s.Run(j, uint64(7000+i), scenes.Ramp())
				harmed += end.Harmed / 30
				if end.Judgement.Verdict == metrics.Fail {
					times = append(times, end.At)
				}
			}
			slices.Sort(times)
			if len(times) < c.least {
				t.Fatalf("%d of 30 found, want %d", len(times), c.least)
			}
			t.Logf("%d of 30, median %s, %.0f requests harmed", len(times), times[len(times)/2], harmed)
			if times[len(times)/2] > c.median || harmed > c.harmed {
				t.Errorf("median %s with %.0f harmed, want %s with %.0f", times[len(times)/2], harmed, c.median, c.harmed)
			}
		})
	}
}

// Good policies of ordinary services end in Pass.
func TestGoodPoliciesPass(t *testing.T) {
	for _, s := range []scenes.Scene{
		{Name: "50 rps", RPS: 50, Base: 0.001, Clump: 1}, {Name: "200 rps, clumps of 3", RPS: 200, Base: 0.001, Clump: 3},
		{Name: "1,000 rps, 0.01 %", RPS: 1000, Base: 0.0001, Clump: 3}, {Name: "200 rps, 1 %", RPS: 200, Base: 0.01, Clump: 1},
	} {
		s.Pods = 8
		j, passes := judgeOf(t, s, 2), 0
		var times []time.Duration
		for i := range 30 {
			end := s.Run(j, uint64(9000+i), scenes.Ramp())
			if end.Judgement.Verdict == metrics.Pass {
				passes++
				times = append(times, end.At)
			}
		}
		if passes < 28 {
			t.Errorf("%s: %d of 30 passed", s.Name, passes)
			continue
		}
		slices.Sort(times)
		t.Logf("%s: %d of 30 passed, median %s, p90 %s", s.Name, passes, times[len(times)/2], times[len(times)*9/10])
	}
}

// A bound that was shown is wrong in at most 5 % of rollouts, also where errors clump, nobody knows a history, and a single
// pod has no halves to compare.
func TestBoundsHoldWithoutAHistory(t *testing.T) {
	j, err := metrics.NewJudge(metrics.DefaultJudgeConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []scenes.Scene{
		{Name: "many errors, one pod", RPS: 10, Base: 0.01, Pods: 1, Ratio: 2}, {Name: "many errors", RPS: 10, Base: 0.01, Pods: 8, Ratio: 2},
		{Name: "few errors", RPS: 50, Base: 0.001, Pods: 8, Ratio: 3},
	} {
		s.Clump = 10
		wrong, shown, n := 0, 0, 200
		for i := range n {
			end := s.Run(j, uint64(i), scenes.Ramp())
			if end.Bound > 0 {
				shown++
			}
			if end.Bound > 0 && end.Bound <= s.Ratio {
				wrong++
			}
		}
		t.Logf("%s: a bound shown in %d of %d, wrong in %d", s.Name, shown, n, wrong)
		if wrong > n/20 || shown < n/10 {
			t.Errorf("%s: %d of %d bounds are wrong, %d were shown", s.Name, wrong, n, shown)
		}
	}
}

// By instance a sick pod looks like harm: few harmless rollouts may fall to it, and harm is still found.
func TestByInstance(t *testing.T) {
	for _, c := range []struct {
		scene       scenes.Scene
		least, most int // of 100 taken back
	}{
		{scenes.Scene{Name: "sick pods, 4", Pods: 4, Sick: 0.25}, 0, 3},
		{scenes.Scene{Name: "sick pods, 20", Pods: 20, Sick: 0.25}, 0, 3},
		{scenes.Scene{Name: "a tenth fails, 8", Pods: 8, Fail: 0.1}, 99, 100},
		{scenes.Scene{Name: "5 times, 8", Pods: 8, Ratio: 5}, 90, 100},
	} {
		s := c.scene
		s.RPS, s.Base, s.Clump = 200, 0.001, 1
		cfg := metrics.DefaultJudgeConfig()
		cfg.Steps, cfg.PlannedTicks, cfg.History = 3, 160, s.History(1, 6)
		j, err := metrics.NewJudge(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ends := map[metrics.Verdict]int{}
		for i := range 100 {
			ends[s.Run(j, uint64(3000+i), scenes.Instances(s.Pods)).Judgement.Verdict]++
		}
		t.Logf("%s: %v", s.Name, ends)
		if fails := ends[metrics.Fail]; fails < c.least || fails > c.most {
			t.Errorf("%s: %d of 100 taken back, want %d to %d", s.Name, fails, c.least, c.most)
		}
	}
}
