package metrics

import (
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/traffic"
)

// world draws the ticks of one step: pods that serve both sides, rps requests a second, errors at rate base on the old
// side and base·ratio+fail on the new one, in clumps of mean size clump. The model is the one of all simulations.
type world struct {
	seed              uint64
	pods              int
	rps, share        float64
	base, ratio, fail float64
	clump             float64
	byInstance        int // pods of the new side; 0: by request
	slow              float64
	both              float64 // both sides' errors are multiplied by it
}

func newWorld(seed uint64) *world {
	return &world{seed: seed, pods: 8, rps: 200, share: 0.05, base: 0.001, ratio: 1, clump: 1}
}

func (w *world) tick(from time.Time, length time.Duration) Tick {
	t := Tick{From: from, To: from.Add(length), Newest: from.Add(length - time.Second), Pods: map[string]map[Side]Counts{}, Series: map[Side]int{New: w.pods, Old: w.pods}}
	base, bounds := w.base*max(1, w.both), []float64{25, 50, 100, 250, 500, 1000}
	shares := make([]float64, w.pods)
	for i := range shares {
		switch {
		case w.byInstance == 0:
			shares[i] = w.share
		case i < w.byInstance:
			shares[i] = 1
		}
	}
	service := traffic.NewWorld(traffic.Service{RPS: w.rps, Pods: w.pods, Errors: base, Clumps: w.clump, Median: 40, Bounds: bounds}, w.seed)
	since := from.Sub(start())
	for i, pod := range service.Pass(since, since+length, service.Weather(since, since+length), shares,
		traffic.Effect{More: base * (w.ratio - 1), Fail: w.fail, Slower: w.slow}) {
		t.Pods["shop/pod-"+strconv.Itoa(i)] = map[Side]Counts{New: counted(pod.New, bounds), Old: counted(pod.Old, bounds)}
	}
	return t
}

// counted are a side's counts, with codes.
func counted(s traffic.Side, bounds []float64) Counts {
	c := Counts{Requests: float64(s.Requests), Errors: float64(s.Errors), Timed: float64(s.Requests), Slow: map[float64]float64{}}
	if s.Errors > 0 {
		c.Codes = map[string]float64{"200": c.Requests - c.Errors, "503": c.Errors}
	}
	for i, slow := range s.Slow {
		c.Slow[bounds[i]] = float64(slow)
	}
	return c
}

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// ramp is JUDGE.md's default ramp with the step's times.
func ramp() []JudgeStep {
	min1, min2, max10 := time.Minute, 2*time.Minute, 10*time.Minute
	return []JudgeStep{
		{Index: 0, Kind: StepStage, Share: 0.5, Min: min2, Max: 5 * time.Minute, MinRequests: 200},
		{Index: 1, Kind: StepWatch, Share: 0.01, Min: min1, Max: max10},
		{Index: 2, Kind: StepWatch, Share: 0.05, Min: min1, Max: max10},
		{Index: 3, Kind: StepWatch, Share: 0.25, Min: min2, Max: max10},
		{Index: 4, Kind: StepProof, Share: 0.5, Min: min2, Max: 20 * time.Minute},
		{Index: 5, Kind: StepBake, Share: 0.95, Min: 5 * time.Minute, Max: 5 * time.Minute},
	}
}

// run carries a rollout through its steps until a verdict that does not advance.
func (w *world) run(j SequentialJudge, steps []JudgeStep) (Judgement, JudgeStep, time.Duration) {
	now, course := start(), Begin(j)
	harm, fail, slow := w.ratio, w.fail, w.slow
	var last Judgement
	for _, step := range steps {
		step.Started = now
		w.share, w.ratio, w.fail, w.slow = step.Share, harm, fail, slow
		if step.Kind == StepStage {
			w.ratio, w.fail, w.slow = 1, 0, 0
		}
		for last.Verdict = Wait; last.Verdict == Wait; {
			tick := w.tick(now, 15*time.Second)
			now = now.Add(15 * time.Second)
			last = course.Step(step, tick, now)
		}
		if last.Verdict != Pass {
			return last, step, now.Sub(step.Started)
		}
	}
	return last, steps[len(steps)-1], now.Sub(start())
}
