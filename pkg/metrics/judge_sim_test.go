package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func judge(t *testing.T, change func(*JudgeConfig)) SequentialJudge {
	t.Helper()
	c := DefaultJudgeConfig()
	if change != nil {
		change(&c)
	}
	j, err := NewJudge(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Harmless policies are not taken back, also with clumped errors and with incidents of both sides. The promise is 1 %;
// 1,000 rollouts with none or few rollbacks keep it below with room.
func TestFalseRollbacks(t *testing.T) {
	scenes := []struct {
		name              string
		rps, base, clump  float64
		both              float64
		runs, mostAllowed int
	}{
		{"independent", 200, 0.001, 1, 1, 120, 1},
		{"clumps of 10", 200, 0.001, 10, 1, 120, 1},
		{"clumps of 10, many errors", 200, 0.01, 10, 1, 120, 1},
		{"both sides 10 times worse", 200, 0.001, 3, 10, 120, 1},
		{"little traffic", 20, 0.001, 3, 1, 120, 1},
	}
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			j, seen := judge(t, nil), map[Verdict]int{}
			for i := range s.runs {
				w := newWorld(uint64(1000 + i))
				w.rps, w.base, w.clump, w.both = s.rps, s.base, s.clump, s.both
				got, _, _ := w.run(j, ramp())
				seen[got.Verdict]++
			}
			t.Logf("%d rollouts: %v", s.runs, seen)
			if seen[Fail] > s.mostAllowed {
				t.Errorf("%d of %d harmless rollouts were taken back", seen[Fail], s.runs)
			}
		})
	}
}

// Times to the Fail in one watch step of an hour at a fixed share, against ANALYSIS.md section 8 (medians there, with
// the whole error budget on errors).
func TestDetectionTimes(t *testing.T) {
	cases := []struct {
		base, share, ratio, fail float64
		most                     time.Duration
		pods                     int
	}{
		{0.001, 0.05, 1, 0.9, 15 * time.Second, 8},
		{0.001, 0.05, 1, 1, 15 * time.Second, 8},
		{0.001, 0.01, 1, 0.9, 15 * time.Second, 8},
		{0.001, 0.5, 1, 0.9, 30 * time.Second, 8},
		{0.001, 0.05, 5, 0, 5 * time.Minute, 8},
		{0.001, 0.05, 10, 0, 2 * time.Minute, 8},
		{0.01, 0.05, 5, 0, 45 * time.Second, 8},
		{0.01, 0.05, 2, 0, 6 * time.Minute, 8},
		{0.01, 0.5, 2, 0, 2 * time.Minute, 8},
		{0.001, 0.01, 1, 1, 30 * time.Second, 1}, // few pods: one observation a tick each
		{0.001, 0.05, 1, 1, 45 * time.Second, 1},
		{0.001, 0.05, 1, 1, 30 * time.Second, 2},
		{0.001, 0.05, 1, 1, 15 * time.Second, 4},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("base %g share %g ratio %g fail %g pods %d", c.base, c.share, c.ratio, c.fail, c.pods), func(t *testing.T) {
			t.Parallel()
			j := judge(t, func(c *JudgeConfig) { c.LatencyTolerance = 0 })
			var times []time.Duration
			for i := range 31 {
				w := newWorld(uint64(50 + i))
				w.base, w.ratio, w.fail, w.pods = c.base, c.ratio, c.fail, c.pods
				step := JudgeStep{Index: 1, Kind: StepWatch, Share: c.share, Min: time.Hour, Max: 2 * time.Hour}
				got, _, at := w.run(j, []JudgeStep{step})
				if got.Verdict != Fail {
					at = 24 * time.Hour
				}
				times = append(times, at)
			}
			slices.Sort(times)
			t.Logf("median %s, p90 %s", times[15], times[27])
			if times[15] > c.most {
				t.Errorf("median %s, want at most %s", times[15], c.most)
			}
		})
	}
}

// Whole default rollouts: what the verdicts come to.
func TestWholeRollouts(t *testing.T) {
	cases := []struct {
		name              string
		ratio, fail, slow float64
		want              Verdict
		least             int // of 20
	}{
		{"good", 1, 0, 0, Pass, 19},
		{"everything fails", 1, 1, 0, Fail, 20},
		{"nine of ten fail", 1, 0.9, 0, Fail, 20},
		{"ten times the errors", 10, 0, 0, Fail, 20},
		{"twice as slow", 1, 0, 1, Fail, 20},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j, hits := judge(t, nil), 0
			ends := map[string]int{}
			for i := range 20 {
				w := newWorld(uint64(300 + i))
				w.ratio, w.fail, w.slow = c.ratio, c.fail, c.slow
				got, step, at := w.run(j, ramp())
				if got.Verdict == c.want {
					hits++
				}
				ends[fmt.Sprintf("%s at %s %g", got.Verdict, step.Kind, step.Share)]++
				if i == 0 {
					t.Log(got.Reason, at)
				}
			}
			t.Log(ends)
			if hits < c.least {
				t.Errorf("%d of 20 ended in %s", hits, c.want)
			}
		})
	}
}

// One sick pod of the new side may fail completely without deciding, by instance; several may not.
func TestOneSickPodDoesNotDecide(t *testing.T) {
	j := judge(t, nil)
	step := JudgeStep{Index: 1, Kind: StepWatch, ByInstance: true, Share: 0.5, Min: time.Minute, Max: 3 * time.Minute, Started: start()}
	for _, c := range []struct {
		sick int
		want Verdict
	}{{1, Inconclusive}, {4, Fail}} {
		w := newWorld(9)
		w.byInstance = 4
		state, got, now := State{}, Judgement{Verdict: Wait}, start()
		for got.Verdict == Wait {
			tick := w.tick(now, 15*time.Second)
			for i := range c.sick {
				pod := fmt.Sprintf("shop/pod-%d", i)
				counts := tick.Pods[pod][New]
				counts.Errors = counts.Requests
				tick.Pods[pod][New] = counts
			}
			now = now.Add(15 * time.Second)
			state, got = j.Step(state, step, tick, now)
		}
		if got.Verdict != c.want {
			t.Errorf("%d sick pods: %s (%s), want %s", c.sick, got.Verdict, got.Reason, c.want)
		}
	}
}

// A state that went through JSON at every tick gives the same judgements, and stays small.
func TestStateSurvivesRestarts(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		j := judge(t, func(c *JudgeConfig) {
			if seed == 3 {
				c.SuccessTarget, c.LatencyObjective, c.AllowRefused = 0.99, LatencyObjective{Bound: 250, Target: 0.9}, 0.001
				c.History = pastOf(0.001)
			}
		})
		a, b := newWorld(seed), newWorld(seed)
		a.pods, b.pods = 100, 100
		a.ratio, b.ratio = 3, 3
		var kept, restored State
		unsaved := Begin(j)
		now, largest := start(), 0
		for _, step := range ramp()[:5] {
			step.Started = now
			a.share, b.share = step.Share, step.Share
			for range 20 {
				tick := a.tick(now, 15*time.Second)
				again := b.tick(now, 15*time.Second)
				now = now.Add(15 * time.Second)
				var x, y Judgement
				kept, x = j.Step(kept, step, tick, now)
				restored, y = j.Step(restored, step, again, now)
				// Nothing is rounded down there, so that the score may be a trace higher.
				if z := unsaved.Step(step, tick, now); z.Verdict != x.Verdict || math.Abs(z.Score-x.Score) > 0.011*x.Score {
					t.Fatalf("in memory:\n%v\n%v", x, z)
				}
				text, err := json.Marshal(restored)
				if err != nil {
					t.Fatal(err)
				}
				largest = max(largest, len(text))
				restored = State{}
				if err := json.Unmarshal(text, &restored); err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(x) != fmt.Sprint(y) {
					t.Fatalf("after a restart:\n%v\n%v", x, y)
				}
			}
		}
		t.Logf("largest state %d bytes", largest)
		if largest > 16<<10 {
			t.Errorf("the state has %d bytes", largest)
		}
	}
}

// Step leaves its arguments as they were.
func TestStepIsPure(t *testing.T) {
	j, w := judge(t, nil), newWorld(4)
	step := ramp()[1]
	step.Started = start()
	tick := w.tick(start(), 15*time.Second)
	one, first := j.Step(State{}, step, tick, start().Add(15*time.Second))
	before := string(one.Detail)
	two, second := j.Step(State{}, step, tick, start().Add(15*time.Second))
	if fmt.Sprint(first) != fmt.Sprint(second) || string(two.Detail) != before {
		t.Error("the same tick gave another judgement")
	}
	j.Step(one, step, w.tick(start().Add(15*time.Second), 15*time.Second), start().Add(30*time.Second))
	if string(one.Detail) != before || one.New.Requests != first.New.Requests {
		t.Error("Step changed its argument")
	}
}
