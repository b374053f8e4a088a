package metrics

import (
	"strings"
	"testing"
	"time"
)

// seen builds a tick of one pod per side pair: counts by side, spread evenly over the pods.
func seen(from time.Time, length time.Duration, pods int, nc, xc, ns, xs float64) Tick {
	t := Tick{From: from, To: from.Add(length), Newest: from.Add(length), Pods: map[string]map[Side]Counts{}, Series: map[Side]int{New: 2, Old: 2}}
	k := float64(pods)
	for i := range pods {
		t.Pods["shop/web-"+string(rune('a'+i))] = map[Side]Counts{
			New: {Requests: nc / k, Errors: xc / k}, Old: {Requests: ns / k, Errors: xs / k}}
	}
	return t
}

// ask steps a judge through ticks of 15 s until a time and returns its last word.
func ask(j Judge, state State, step JudgeStep, d time.Duration, draw func(from time.Time) Tick) (State, Judgement) {
	var got Judgement
	for now := step.Started; now.Before(step.Started.Add(d)); {
		tick := draw(now)
		now = now.Add(15 * time.Second)
		state, got = j.Step(state, step, tick, now)
	}
	return state, got
}

func TestVerdictsAndReasons(t *testing.T) {
	watch := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.05, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
	stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute, MinRequests: 200, Started: start()}
	proof := JudgeStep{Index: 4, Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, Started: start()}
	bake := JudgeStep{Index: 5, Kind: StepBake, Share: 0.95, Min: 5 * time.Minute, Max: 5 * time.Minute, Started: start()}
	fold := JudgeStep{Index: 6, Kind: StepFold, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()}
	even := func(nc, xc, ns, xs float64) func(time.Time) Tick {
		return func(from time.Time) Tick { return seen(from, 15*time.Second, 4, nc, xc, ns, xs) }
	}
	cases := []struct {
		name   string
		step   JudgeStep
		after  time.Duration
		draw   func(time.Time) Tick
		want   Verdict
		reason string
	}{
		{"gross harm at the first tick", watch, 15 * time.Second, even(880, 812, 15930, 32), Fail,
			"new 92.3 % errors against 0.2 % (×460, at least ×4 with 99 % confidence), 812 of 880 against 32 of 15,930 requests, 15 s"},
		{"too few requests", watch, 15 * time.Second, even(12, 0, 300, 0), Wait, "waiting: 12 of 20 requests"},
		{"too few at the end", watch, 10 * time.Minute, even(0.25, 0, 300, 0), NoData, "no data: 10 of 20 requests in 10 min"},
		{"nothing on the new side", watch, 10 * time.Minute, even(0, 0, 300, 0), NoData, "no data: only the old side counts requests (12,000)"},
		{"half of the requests hang", watch, time.Minute, even(30, 0, 1140, 4), Wait,
			"the new side counted 120 of about 240 requests to be expected: those that hang are counted only when they end"},
		{"half of the requests hang for too long", watch, 30 * time.Minute, even(30, 0, 1140, 4), Inconclusive, "the new side counted 3,600 of about 7,200"},
		{"half of the requests hang in the bake", bake, 5 * time.Minute, even(570, 0, 60, 0), Wait, "the new side counted 11,400 of about 22,800"},
		{"a few requests fewer are chance", watch, time.Minute, even(50, 0, 1140, 4), Pass, "no sign of harm"},
		{"too little time", watch, 30 * time.Second, even(30, 0, 600, 0), Wait, "waiting: 30 s of 60 s"},
		{"no sign of harm", watch, time.Minute, even(30, 0, 600, 4), Pass,
			"new 0.0 % errors against 0.7 % (0 of 120 against 16 of 2,400 requests), 60 s; no sign of harm"},
		{"nothing to compare with", watch, time.Minute, even(30, 0, 0, 0), Wait, "waiting: 0 of 20 requests on the old side"},
		{"halves agree", stage, 2 * time.Minute, even(300, 4, 300, 4), Pass,
			"identical halves agree: new 1.3 % errors against 1.3 % (32 of 2,400 against 32 of 2,400 requests), 2 min; share 50.0 % of 4,800 requests"},
		{"the share is off", stage, 2 * time.Minute, func(from time.Time) Tick {
			t := even(240, 0, 360, 0)(from)
			t.Pods["shop/web-c"] = map[Side]Counts{Old: {Requests: 150}}
			t.Pods["shop/web-a"] = map[Side]Counts{New: {Requests: 120}, Old: {Requests: 30}}
			return t
		}, Pass,
			"share 40.0 % of 4,800 requests: 20 % of ids unusable, they stay old; furthest off: shop/web-c with 0 of 150 requests in the last 15 s"},
		{"the share is far too small", stage, 2 * time.Minute, even(120, 0, 480, 0), Inconclusive,
			"share 20.0 % of 4,800 requests, 50.0 % was asked for: 60 % of ids unusable, they stay old; furthest off: shop/web-a"},
		{"the share is far too large", stage, 2 * time.Minute, even(420, 0, 180, 0), Inconclusive, "40 % more requests than asked for"},
		{"a little off is no matter", stage, 2 * time.Minute, even(245, 0, 255, 0), Pass, "share 49.0 %"},
		{"the new half is worse", stage, time.Minute, even(300, 120, 300, 4), Inconclusive, "identical halves differ"},
		{"the old half is worse", stage, time.Minute, even(300, 4, 300, 120), Inconclusive, "identical halves differ"},
		{"one half is silent", stage, 5 * time.Minute, even(0, 0, 300, 0), NoData, "only the old side counts requests"},
		{"a bound is shown", proof, 4 * time.Minute, even(3000, 2, 3000, 2), Pass, "at most 2× the larger of the old rate and the floor of"},
		{"a bound is still missing", proof, 2 * time.Minute, even(300, 0, 300, 0), Wait, "waiting for a bound of 2×"},
		{"a weaker bound at the end", proof, 20 * time.Minute, even(80, 0, 80, 0), Pass, "at most 10×"},
		{"no bound at the end", proof, 20 * time.Minute, even(4, 0, 4, 0), Inconclusive, "no bound shown up to 20×"},
		{"the bake ends", bake, 5 * time.Minute, even(2850, 3, 150, 0), Pass, "no sign of harm"},
		{"the bake breaks", bake, time.Minute, even(2850, 2800, 150, 0), Fail, "new 98.2 % errors"},
		{"the bake sees an incident of both sides", bake, 5 * time.Minute, even(2850, 570, 150, 30), Pass, "shared incident"},
		{"the fold ends", fold, 2 * time.Minute, even(3000, 3, 0, 0), Pass, "new 0.1 % errors (24 of 24,000 requests)"},
		{"the fold breaks", fold, 30 * time.Second, even(3000, 1500, 0, 0), Fail, "new 50.0 % errors"},
		{"the fold sees nothing", fold, 5 * time.Minute, even(0, 0, 0, 0), NoData, "no data"},
		{"one burst holds and does not fail", watch, 10 * time.Minute, func(from time.Time) Tick {
			tick := seen(from, 15*time.Second, 1, 30, 3, 600, 0)
			tick.Pods["shop/web-b"] = map[Side]Counts{New: {Requests: 30}, Old: {Requests: 600, Errors: 3}}
			return tick
		}, Wait, "suspicious"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, got := ask(judge(t, nil), State{}, c.step, c.after, c.draw)
			if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s: %s\nwant %s: %s", got.Verdict, got.Reason, c.want, c.reason)
			}
			if strings.ContainsAny(got.Reason, "\n") || strings.Contains(got.Reason, "NaN") {
				t.Errorf("not one clean line: %q", got.Reason)
			}
		})
	}
}

func TestSilentSources(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.05, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
	fault := func(from time.Time) Tick {
		return Tick{From: from, To: from.Add(15 * time.Second), Fault: "Prometheus at http://prom cannot be reached: connection refused"}
	}
	empty := func(from time.Time) Tick { return Tick{From: from, To: from.Add(15 * time.Second)} }
	foreign := func(from time.Time) Tick {
		return Tick{From: from, To: from.Add(15 * time.Second), Newest: from.Add(10 * time.Second)}
	}
	oldOnly := func(from time.Time) Tick {
		tick := seen(from, 15*time.Second, 2, 0, 0, 300, 0)
		tick.Series = map[Side]int{Old: 2}
		return tick
	}
	stale := func(from time.Time) Tick {
		tick := seen(from, 15*time.Second, 2, 40, 0, 300, 0)
		tick.Newest = step.Started.Add(25 * time.Second)
		return tick
	}
	for _, c := range []struct {
		name   string
		after  time.Duration
		draw   func(time.Time) Tick
		want   Verdict
		reason string
	}{
		{"one failed reading", 15 * time.Second, fault, Wait, "waiting: Prometheus at http://prom cannot be reached"},
		{"four failed readings", time.Minute, fault, NoData, "no data: 4 readings in a row failed: Prometheus at http://prom cannot be reached"},
		{"no series yet", 30 * time.Second, empty, Wait, "waiting: no series yet"},
		{"no series", 90 * time.Second, empty, NoData, "no data: no series answers the query"},
		{"series of nobody", 10 * time.Minute, foreign, NoData, "no data: none of the series belongs to a side of this rollout"},
		{"only old series", 10 * time.Minute, oldOnly, NoData, "no data: only the old side has series"},
		{"fresh enough", time.Minute, stale, Pass, "no sign of harm"},
		{"old samples are waited for", 75 * time.Second, stale, Wait, "waiting: the newest sample is 50 s old"},
		{"old samples are no data", 105 * time.Second, stale, NoData, "no data: the newest sample is 80 s old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := ask(judge(t, nil), State{}, step, c.after, c.draw)
			if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s: %s\nwant %s: %s", got.Verdict, got.Reason, c.want, c.reason)
			}
		})
	}
}

// A source that recovers is forgiven: a NoData is no end.
func TestSourceRecovers(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.05, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
	ticks := 0
	_, got := ask(judge(t, nil), State{}, step, 3*time.Minute, func(from time.Time) Tick {
		if ticks++; ticks < 6 {
			return Tick{From: from, To: from.Add(15 * time.Second), Fault: "timeout"}
		}
		return seen(from, 15*time.Second, 4, 30, 0, 600, 1)
	})
	if got.Verdict != Pass {
		t.Error(got.Verdict, got.Reason)
	}
}

// Proved harm stands when data end meanwhile.
func TestFailStands(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.05, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
	j := judge(t, nil)
	state, got := ask(j, State{}, step, 15*time.Second, func(from time.Time) Tick { return seen(from, 15*time.Second, 4, 100, 95, 1900, 2) })
	if got.Verdict != Fail {
		t.Fatal(got.Reason)
	}
	now := step.Started.Add(30 * time.Second)
	if _, got = j.Step(state, step, Tick{From: now, To: now, Fault: "gone"}, now); got.Verdict != Fail {
		t.Error(got.Verdict, got.Reason)
	}
}

// Readings more often than a tick are gathered; a tick that began before the step is not scored.
func TestTicksGatherAndBelongToTheStep(t *testing.T) {
	j := judge(t, nil)
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.05, Min: time.Minute, Max: 10 * time.Minute, Started: start()}
	state, now := State{}, start()
	for i := range 3 {
		tick := seen(now, 5*time.Second, 4, 30, 28, 600, 1)
		now = now.Add(5 * time.Second)
		var got Judgement
		state, got = j.Step(state, step, tick, now)
		want := map[bool]Verdict{true: Fail, false: Wait}[i == 2]
		if got.Verdict != want {
			t.Errorf("after %s: %s (%s), want %s", now.Sub(start()), got.Verdict, got.Reason, want)
		}
	}
	early := seen(start().Add(-10*time.Second), 15*time.Second, 4, 100, 100, 100, 0)
	if _, got := j.Step(State{}, step, early, start().Add(5*time.Second)); got.New.Requests != 0 {
		t.Error("a tick from before the step was counted:", got.Reason)
	}
}

// Refusals within the allowance are no harm, beyond it they are, and other errors always are (JUDGE.md section 6).
func TestAllowedRefusals(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.5, Min: 10 * time.Minute, Max: 30 * time.Minute, Started: start()}
	refusing := func(refused, other float64) func(time.Time) Tick {
		return func(from time.Time) Tick {
			tick := seen(from, 15*time.Second, 4, 3000, refused+other, 3000, 3)
			for _, sides := range tick.Pods {
				c := sides[New]
				c.Refused = refused / 4
				sides[New] = c
			}
			return tick
		}
	}
	for _, c := range []struct {
		name           string
		refused, other float64
		want           Verdict
	}{
		{"allowed", 14, 3, Pass}, {"five times as much", 75, 3, Fail}, {"other errors", 0, 75, Fail}, {"both", 14, 60, Fail},
	} {
		j := judge(t, func(c *JudgeConfig) { c.AllowRefused = 0.005 })
		_, got := ask(j, State{}, step, 10*time.Minute, refusing(c.refused, c.other))
		if got.Verdict != c.want {
			t.Errorf("%s: %s (%s)", c.name, got.Verdict, got.Reason)
		}
	}
	_, got := ask(judge(t, nil), State{}, step, 10*time.Minute, refusing(300, 3))
	if got.Verdict != Fail {
		t.Errorf("nothing allowed: %s (%s)", got.Verdict, got.Reason)
	}
}

func TestForeignStateIsAnError(t *testing.T) {
	step := ramp()[1]
	step.Started = start()
	for _, state := range []State{{Version: "second/7"}, {Version: judgeVersion, Detail: []byte(`{"k":"x"}`)}} {
		next, got := judge(t, nil).Step(state, step, Tick{}, start())
		if got.Verdict != Error || !strings.Contains(got.Reason, "saved score") || next.Version != state.Version {
			t.Error(got.Verdict, got.Reason)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := DefaultJudgeConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	breaks := map[string]func(*JudgeConfig){
		"falseRollback":  func(c *JudgeConfig) { c.FalseRollback = 0 },
		"errorTolerance": func(c *JudgeConfig) { c.ErrorTolerance = 0.9 },
		"floor":          func(c *JudgeConfig) { c.ErrorFloor = 1 },
		"latency":        func(c *JudgeConfig) { c.LatencyTolerance = -1 },
		"allow.refused":  func(c *JudgeConfig) { c.AllowRefused = 1 },
		"weights":        func(c *JudgeConfig) { c.ErrorWeight = 0 },
		"hold":           func(c *JudgeConfig) { c.Hold = 1 },
		"passMargin":     func(c *JudgeConfig) { c.PassMarginMax = 1.5 },
		"confidence":     func(c *JudgeConfig) { c.PassConfidence = 1 },
		"clumping":       func(c *JudgeConfig) { c.Clumping = 0 },
		"objective":      func(c *JudgeConfig) { c.SuccessTarget = 1 },
		"burn":           func(c *JudgeConfig) { c.BurnHold = 0 },
		"latencyMargin":  func(c *JudgeConfig) { c.LatencyMarginMax = 1.1 },
		"past":           func(c *JudgeConfig) { c.BareTolerance = 0 },
		"step 0":         func(c *JudgeConfig) { c.StageScore = 0 },
		"tick":           func(c *JudgeConfig) { c.Tick = 0 },
		"plan":           func(c *JudgeConfig) { c.Steps = 0 },
	}
	for word, change := range breaks {
		c := DefaultJudgeConfig()
		change(&c)
		if _, err := NewJudge(c); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestNumbersReadWell(t *testing.T) {
	for got, want := range map[string]string{
		number(15930): "15,930", number(881): "881", number(1234567): "1,234,567", number(0): "0",
		percent(0.921): "92.1 %", percent(0.002): "0.2 %", percent(0.00031): "0.031 %", percent(0): "0.0 %", percent(1): "100.0 %",
		seconds(15 * time.Second): "15 s", seconds(150 * time.Second): "2.5 min", seconds(2 * time.Hour): "120 min", seconds(-time.Second): "0 s",
		rate(0, 0): "no", times(1.5): "1.5×", firstRunes("äöü", 2): "äö…",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
