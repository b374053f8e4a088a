package metrics

import (
	"strings"
	"testing"
	"time"
)

// During an outage of both sides no step passes and nothing is taken back; when it is over, it is forgotten.
func TestAnOutageOfBothSidesIsWaitedForAndForgotten(t *testing.T) {
	well := func(share float64) func(time.Time) Tick { return steady(3000*share, 0, 3000*(1-share), 0) }
	outage := func(share float64) func(time.Time) Tick {
		return steady(3000*share, 2700*share, 3000*(1-share), 2640*(1-share))
	}
	for name, config := range map[string]func(*JudgeConfig){
		"without an objective": func(c *JudgeConfig) { c.History = pastOf(0.0003) }, "with one": func(c *JudgeConfig) { c.SuccessTarget, c.ErrorFloor = 0.999, 0.001 },
	} {
		t.Run(name, func(t *testing.T) {
			j := judge(t, config)
			now := start()
			state := State{}
			for i, c := range []struct {
				step          JudgeStep
				before, after Verdict
				reason        string
			}{
				{JudgeStep{Kind: StepWatch, Share: 0.1, Min: 2 * time.Minute, Max: 10 * time.Minute}, Wait, Pass, "no sign of harm"},
				{JudgeStep{Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute}, Wait, Pass, "at most"},
				{JudgeStep{Kind: StepBake, Share: 0.95, Min: 2 * time.Minute, Max: 5 * time.Minute}, Wait, Pass, ""},
			} {
				if i == 0 {
					stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute, MinRequests: 200, Started: now}
					state, _ = ask(j, state, stage, 2*time.Minute, well(0.5))
					now = now.Add(2 * time.Minute)
				}
				c.step.Index, c.step.Started = i+1, now
				var got Judgement
				shown := 0.0
				for d := time.Duration(0); d < 5*time.Minute; d += 15 * time.Second {
					draw := well(c.step.Share)
					if d >= time.Minute && d < 3*time.Minute {
						draw = outage(c.step.Share)
					}
					tick := draw(now)
					now = now.Add(15 * time.Second)
					state, got = j.Step(state, c.step, tick, now)
					struck := d >= 2*time.Minute && d < 3*time.Minute
					if struck && (got.Verdict != c.before || !strings.Contains(got.Reason, "shared incident, the old side is as bad: new 90.0 % errors against 88.0 %")) {
						t.Fatalf("%s, in the outage: %s: %s", c.step.Kind, got.Verdict, got.Reason)
					}
					if d < time.Minute {
						shown = got.Bound
					}
					if struck && got.Bound != shown {
						t.Fatalf("%s: failing alike proved a bound of %v, %v was shown before", c.step.Kind, got.Bound, shown)
					}
					if got.Verdict == Fail {
						t.Fatalf("%s, %s: %s", c.step.Kind, got.Verdict, got.Reason)
					}
				}
				if got.Verdict != c.after || !strings.Contains(got.Reason, c.reason) {
					t.Errorf("%s, after the outage: %s: %s", c.step.Kind, got.Verdict, got.Reason)
				}
			}
		})
	}
}

// A history whose quiet time has independent errors, and incidents in which they clump, says so: in such an incident a
// holdback that fails less by chance does not blame the new side. Where only the new side fails it does, in three minutes.
func TestAnIncidentThatClumpsIsNotBlamed(t *testing.T) {
	past := pastOf(0.001)
	for i := range 40 { // of 3,000 requests 750 fail, in one half 150 more than in the other
		past.Ticks[30*i] = [2]HalfCount{{Requests: 1500, Errors: 450}, {Requests: 1500, Errors: 300}}
	}
	b := past.Baseline()
	if b.Clumping != 1 || b.Struck < 20 {
		t.Fatalf("quiet %v, struck %v", b.Clumping, b.Struck)
	}
	j := judge(t, func(c *JudgeConfig) { c.History = past })
	step := JudgeStep{Index: 5, Kind: StepBake, Share: 0.95, Min: 5 * time.Minute, Max: 10 * time.Minute, Started: start()}
	for _, c := range []struct {
		old  float64
		want Verdict
	}{{0.15, Wait}, {0.001, Fail}} {
		_, got := ask(j, State{}, step, 3*time.Minute, steady(2850, 2850*0.25, 150, 150*c.old))
		if got.Verdict != c.want {
			t.Errorf("old side failing %v: %s: %s", c.old, got.Verdict, got.Reason)
		}
	}
}
