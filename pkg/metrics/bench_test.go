package metrics

import (
	"strconv"
	"testing"
	"time"
)

// BenchmarkJudgeTick judges one interval of a step by request, counted by 20 client pods.
func BenchmarkJudgeTick(b *testing.B) {
	j, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		b.Fatal(err)
	}
	step := JudgeStep{Index: 4, Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, Started: start()}
	var state State
	now := start()
	for b.Loop() {
		tick := seen(now, 15*time.Second, 20, 3000, 2, 3000, 2)
		now = now.Add(15 * time.Second)
		state, _ = j.Step(state, step, tick, now)
		if now.Sub(start()) > 10*time.Minute {
			state, now = State{}, start()
		}
	}
}

// BenchmarkTick is what a runner does between two readings of a thousand client pods with ten checks of the user's own:
// counters, judge, checks, and the saved form of the score. The reading itself is Prometheus's.
func BenchmarkTick(b *testing.B) {
	for _, c := range []struct {
		name    string
		buckets []string
	}{{"codes", nil}, {"durations", []string{"5", "10", "25", "50", "100", "250", "500", "+Inf"}}} {
		b.Run(c.name, func(b *testing.B) { benchmarkTick(b, 1000, 10, c.buckets) })
	}
}

func benchmarkTick(b *testing.B, pods, checks int, buckets []string) {
	inner, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		b.Fatal(err)
	}
	judge, limit := Checked{Judge: inner}, 0.5
	readings := make([]Reading, checks)
	for i := range readings {
		judge.Checks = append(judge.Checks, Check{Name: "check " + strconv.Itoa(i), Query: "q", Max: &limit, Failures: 2})
		readings[i] = Reading{Query: "q", Value: 0.25}
	}
	step := JudgeStep{Index: 4, Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, Started: start()}
	var state State
	counters, k := NewCounters(byRequest()), 1
	for b.Loop() {
		b.StopTimer()
		series := scraped(pods, k, buckets)
		from, to := sec(float64(15*k-15)), sec(float64(15*k))
		b.StartTimer()
		var tick Tick
		counters, tick = counters.Step(series, from, to)
		tick.Readings = readings
		state, _ = judge.Step(state, step, tick, to)
		k++
	}
	if state.New.Requests <= 0 || len(state.Checks) != checks {
		b.Fatalf("nothing was judged: %+v", state.New)
	}
}

// scraped is what the last minute before the k-th tick has of so many pods: four scrapes of every series.
func scraped(pods, k int, buckets []string) []Series {
	at := func(rate float64) []float64 {
		var out []float64
		for i := max(0, k-3); i <= k; i++ {
			out = append(out, float64(15*i), rate*float64(i))
		}
		return out
	}
	var out []Series
	for p := range pods {
		pod := "shop/web-" + strconv.Itoa(p)
		for _, side := range []string{"new", "old"} {
			out = append(out, code(pod, side+"_upstream_rq", "200", at(150)...), code(pod, side+"_upstream_rq", "503", at(1)...))
			for i, le := range buckets {
				out = append(out, bucket(pod, side, le, at(151*float64(i+1)/float64(len(buckets)))...))
			}
		}
	}
	return out
}
