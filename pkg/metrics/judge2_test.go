package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// pastOf is six hours of 200 requests a second with an error rate of x, in even halves.
func pastOf(rate float64) History {
	h := History{Tick: 15 * time.Second}
	for range 1440 {
		h.Ticks = append(h.Ticks, [2]HalfCount{{Requests: 1500, Errors: 1500 * rate}, {Requests: 1500, Errors: 1500 * rate}})
	}
	return h
}

func TestBaselineOfAHistory(t *testing.T) {
	if b := (History{}).Baseline(); b.Requests != 0 || b.limit() != 1 || b.Rate() != 0 {
		t.Errorf("nothing known: %+v", b)
	}
	b := pastOf(0.001).Baseline()
	if math.Abs(b.Rate()-200) > 1e-9 || math.Abs(b.Errors-4320) > 1e-6 || b.Clumping != 1 {
		t.Errorf("%+v", b)
	}
	want := (4320 + 3.1*math.Sqrt(4320) + 5) / 4320000
	if math.Abs(b.limit()-want) > 1e-12 {
		t.Error("U", b.limit(), want)
	}
}

func TestClumpingRule(t *testing.T) {
	for _, c := range []struct {
		clumps clumps
		want   float64
	}{
		{clumps{}, 3}, {clumps{Num: 100, Den: 5, Events: 19, Ticks: 100}, 3}, {clumps{Num: 12, Den: 10, Events: 40, Ticks: 100}, 1},
		{clumps{Num: 50, Den: 10, Events: 40, Ticks: 100}, 6},
	} {
		if got := c.clumps.phi(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v, want %v", c.clumps, got, c.want)
		}
	}
	for rate, want := range map[float64]float64{0: 0.0002, 0.0001: 0.0003, 0.01: 0.001} {
		if got := ErrorFloor(rate*1e7, 1e7); math.Abs(got-want) > 1e-6 {
			t.Errorf("floor at %v: %v, want %v", rate, got, want)
		}
	}
	if ErrorFloor(0, 0) != floorMost || ErrorFloor(0, 100) != floorMost {
		t.Error("little known is no clean service")
	}
}

// What the history said at the first tick stays in the state: a runner that goes on with another one judges the same.
func TestTheHistoryOfTheFirstTickStays(t *testing.T) {
	with, without := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) }), judge(t, nil)
	step := ramp()[4]
	step.Started = start()
	first := seen(start(), 15*time.Second, 4, 3000, 5, 3000, 3)
	state, _ := with.Step(State{}, step, first, start().Add(15*time.Second))
	later := seen(start().Add(15*time.Second), 15*time.Second, 4, 3000, 5, 3000, 3)
	_, a := with.Step(state, step, later, start().Add(30*time.Second))
	_, b := without.Step(state, step, later, start().Add(30*time.Second))
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func steady(nc, xc, ns, xs float64) func(time.Time) Tick {
	return func(from time.Time) Tick { return seen(from, 15*time.Second, 4, nc, xc, ns, xs) }
}

// With nobody left to compare with, a Fail pauses unless at least 5 % fail (JUDGE.md section 2).
func TestWithoutAHoldbackAFailPauses(t *testing.T) {
	j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
	for _, step := range []JudgeStep{
		{Index: 6, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()},
		{Index: 5, Kind: StepBake, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()},
	} {
		for _, c := range []struct {
			errors float64
			want   Verdict
			pause  bool
		}{{3, Pass, false}, {5, Pass, false}, {30, Fail, true}, {1500, Fail, false}} {
			state, got := State{}, Judgement{Verdict: Wait}
			for now := start(); got.Verdict == Wait; {
				tick := seen(now, 15*time.Second, 4, 3000, c.errors, 0, 0)
				now = now.Add(15 * time.Second)
				state, got = j.Step(state, step, tick, now)
			}
			if got.Verdict != c.want || got.Pause != c.pause {
				t.Errorf("%s, %v errors: %s, pause %v (%s)", step.Kind, c.errors, got.Verdict, got.Pause, got.Reason)
			}
		}
	}
}

func TestSilentCanary(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.25, Min: 2 * time.Minute, Max: 10 * time.Minute, Started: start()}
	for _, c := range []struct {
		name   string
		fails  bool
		draw   func(time.Time) Tick
		after  time.Duration
		want   Verdict
		reason string
	}{
		{"cut off", true, steady(0, 0, 900, 1), time.Minute, Fail, "silent: the new side counted 0 of about 1,200 requests"},
		{"cut off, other kinds", false, steady(0, 0, 900, 1), time.Minute, Wait, "silent"},
		{"held for long", false, steady(0, 0, 900, 1), 30 * time.Minute, Inconclusive, "silent"},
		{"too early", true, steady(0, 0, 900, 1), 45 * time.Second, Wait, "waiting: 0 of 20"},
		{"too little is expected", true, steady(0, 0, 120, 1), time.Minute, Wait, "waiting"},
		{"both are silent", true, steady(0, 0, 0, 0), time.Minute, Wait, "waiting"},
		{"less, but there", true, steady(90, 0, 900, 1), 2 * time.Minute, Wait, "the new side counted 720 of about 2,400 requests"},
	} {
		j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
		j.past.Requests, j.past.Seconds = 1200.0/15*3600, 3600
		j.Config.SilentFails = c.fails
		_, got := ask(j, State{}, step, c.after, c.draw)
		if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s: %s", c.name, got.Verdict, got.Reason)
		}
	}
}

// An absolute objective fails on its own, and blames nobody where the old side burns too.
func TestObjectives(t *testing.T) {
	step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.5, Min: 2 * time.Minute, Max: 4 * time.Minute, Started: start()}
	for _, c := range []struct {
		name   string
		both   bool
		nc, ns float64
		after  time.Duration
		want   Verdict
		reason string
	}{
		{"within", false, 1, 1, 2 * time.Minute, Pass, "no sign of harm"},
		{"new burns", false, 300, 280, 2 * time.Minute, Wait, "shared incident, the old side is as bad"},
		{"both burn for long", false, 300, 280, 12 * time.Minute, Inconclusive, "shared incident"},
		{"both burn, and that is harm", true, 300, 280, 2 * time.Minute, Fail, "new 10.0 % errors against 9.3 %"},
		{"both burn as always", false, 300, 280, 2 * time.Minute, Pass, "no sign of harm"},
	} {
		j := judge(t, func(cfg *JudgeConfig) {
			cfg.SuccessTarget, cfg.ErrorFloor, cfg.RollbackOnShared = 0.999, 0.001, c.both
			if cfg.History = pastOf(0.0003); c.name == "both burn as always" {
				cfg.History = pastOf(0.09)
			}
		})
		_, got := ask(j, State{}, step, c.after, steady(3000, c.nc, 3000, c.ns))
		if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s: %s", c.name, got.Verdict, got.Reason)
		}
		found := false
		for _, check := range got.Parts {
			found = found || check.Name == "success" && check.Weight > 0 && check.New.Of > 0
		}
		if !found {
			t.Errorf("%s: no check of the objective: %+v", c.name, got.Parts)
		}
	}
	o := LatencyObjective{Bound: 300, Target: 0.99}
	if n, ok := o.slow(Counts{Slow: map[float64]float64{100: 9, 500: 2, 1000: 1}}); n != 2 || !ok {
		t.Error(n, ok)
	}
	if _, ok := o.slow(Counts{Slow: map[float64]float64{100: 9}}); ok {
		t.Error("no bucket reaches the objective")
	}
}

// At step 0 latency is compared as well, both ways.
func TestStepZeroComparesLatency(t *testing.T) {
	step := ramp()[0]
	for _, c := range []struct {
		slow  float64
		after time.Duration
		want  Verdict
	}{{0, 2 * time.Minute, Pass}, {1, 2 * time.Minute, Inconclusive}, {-0.5, 2 * time.Minute, Inconclusive}} {
		w := newWorld(3)
		w.share, w.slow = 0.5, c.slow
		step.Started = start()
		_, got := ask(judge(t, nil), State{}, step, c.after, func(from time.Time) Tick { return w.tick(from, 15*time.Second) })
		if got.Verdict != c.want {
			t.Errorf("%g: %s: %s", c.slow, got.Verdict, got.Reason)
		}
	}
}

// The proof asks for a bound on latency too.
func TestProofBoundsLatency(t *testing.T) {
	step := ramp()[4]
	w, last := newWorld(5), Judgement{Verdict: Wait}
	w.share = 0.5
	j, state, now := judge(t, nil), State{}, start()
	for i, step := range []JudgeStep{ramp()[0], step} {
		step.Started = now
		for last.Verdict = Wait; last.Verdict == Wait; {
			tick := w.tick(now, 15*time.Second)
			now = now.Add(15 * time.Second)
			state, last = j.Step(state, step, tick, now)
		}
		if last.Verdict != Pass {
			t.Fatal(i, last.Reason)
		}
	}
	if last.SlowBound <= 1 || last.SlowBound > 1.5 || !strings.Contains(last.Reason, "as slow") {
		t.Errorf("bound on latency %v: %s", last.SlowBound, last.Reason)
	}
}

// The printed least ratio is below the true one in at least 99 % of rollouts (errors independent).
func TestLeastRatioHolds(t *testing.T) {
	wrong := 0
	for seed := range 150 {
		w := newWorld(uint64(seed))
		w.share, w.base, w.ratio = 0.25, 0.005, 3
		l, over := newLadder(), false
		for tick := range 40 {
			l = l.start(map[bool]float64{true: 0.5, false: 0.001}[tick == 0])
			for _, sides := range w.tick(start().Add(time.Duration(tick)*15*time.Second), 15*time.Second).Pods {
				l = l.once(half{N: sides[New].Requests, X: sides[New].Errors}, half{N: sides[Old].Requests, X: sides[Old].Errors})
			}
			over = over || l.least() > 3
		}
		if over {
			wrong++
		}
	}
	if wrong > 3 {
		t.Errorf("%d of 150 bounds were above the true ratio", wrong)
	}
}

// The bucket frees at most depth + a·N, never more than was refused.
func TestBucketOfRefusals(t *testing.T) {
	r := refusals{}.widen(0.005, 20000)
	if r.Depth != 100 || r.Credit != 100 {
		t.Fatal(r)
	}
	freed, n := 0.0, 0.0
	for i := range 2000 {
		requests := float64(i % 97)
		refused := math.Floor(requests * float64(i%7) / 7)
		var left float64
		r, left = r.take(0.005, refused, requests)
		n, freed = n+requests, freed+refused*(1-left)
		if left < 0 || left > 1 || freed > 100+0.005*n+1e-6 {
			t.Fatal("frees too much", freed, n)
		}
	}
	if w := r.widen(0.005, 40000); w.Depth != 200 || math.Abs(w.Credit-r.Credit-100) > 1e-9 {
		t.Error("a wider step adds the difference:", w)
	}
}

// Latency, both objectives, a history and eight strata stay within 16 KiB.
func TestStateStaysSmall(t *testing.T) {
	j := judge(t, func(c *JudgeConfig) {
		c.SuccessTarget, c.LatencyObjective, c.AllowRefused = 0.999, LatencyObjective{Bound: 250, Target: 0.99}, 0.01
	})
	w := newWorld(1)
	w.pods = 100
	state, now, largest := State{}, start(), 0
	for _, step := range ramp() {
		step.Started, w.share = now, step.Share
		for range 10 {
			tick := w.tick(now, 5*time.Second)
			for _, sides := range tick.Pods {
				for side, c := range sides {
					for i := range 100 { // many buckets, as of a native histogram
						c.Slow[float64(i)*3.7+0.1] = float64(int(c.Requests) * (100 - i) / 100)
					}
					sides[side] = c
				}
			}
			now = now.Add(5 * time.Second)
			state, _ = j.Step(state, step, tick, now)
			text, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, len(text))
		}
	}
	t.Logf("largest state %d bytes", largest)
	if largest > 16<<10 {
		t.Errorf("the state has %d bytes", largest)
	}
}

// No state makes the judge panic, and a damaged one is an Error, never a verdict.
func FuzzStateDecoder(f *testing.F) {
	j, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		f.Fatal(err)
	}
	step, tick := ramp()[1], newWorld(2).tick(start(), 15*time.Second)
	step.Started = start()
	state, _ := j.Step(State{}, step, tick, start().Add(15*time.Second))
	f.Add([]byte(state.Detail))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"k":-1,"pending":[{},{}],"latency":[{}],"errors":"","pods":[1,2]}`))
	f.Fuzz(func(t *testing.T, detail []byte) {
		state := State{Version: judgeVersion, Step: 1, Detail: detail}
		next, got := j.Step(state, step, tick, start().Add(15*time.Second))
		if got.Verdict == Error && string(next.Detail) != string(detail) {
			t.Error("a state that cannot be read was changed")
		}
		if got.Verdict != Error && len(next.Detail) == 0 {
			t.Error("the state cannot be written again:", string(detail))
		}
		_ = fmt.Sprint(got)
	})
}

// A service that failed grossly before is not held for failing as it did: that is no harm of the policy.
func TestAnOldTroubleDoesNotHoldTheFold(t *testing.T) {
	step := JudgeStep{Index: 0, Kind: StepFold, Share: 1, Min: time.Minute, Max: 5 * time.Minute, Started: start()}
	for past, want := range map[float64]Verdict{0.08: Pass, 0.02: Fail} {
		j := judge(t, func(c *JudgeConfig) { c.History = pastOf(past) })
		state, got := State{}, Judgement{Verdict: Wait}
		for now := start(); got.Verdict == Wait && now.Before(start().Add(10*time.Minute)); {
			tick := seen(now, 15*time.Second, 4, 3000, 240, 0, 0)
			now = now.Add(15 * time.Second)
			state, got = j.Step(state, step, tick, now)
		}
		if got.Verdict != want {
			t.Errorf("%v before, 0.08 now: %s (%s)", past, got.Verdict, got.Reason)
		}
	}
}
