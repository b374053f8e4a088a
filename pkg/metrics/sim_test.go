package metrics

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
)

// world draws the ticks of one step: pods that serve both sides, rps requests a second, errors at rate base on the old
// side and base·ratio+fail on the new one, in clumps of mean size clump. Models and exact binomials are those of the
// simulation behind ANALYSIS.md (analysis-sim/rng.go).
type world struct {
	rng               *rand.Rand
	pods              int
	rps, share        float64
	base, ratio, fail float64
	clump             float64
	byInstance        int // pods of the new side; 0: by request
	slow              float64
	both              float64 // both sides' errors are multiplied by it
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 7)), pods: 8, rps: 200, share: 0.05, base: 0.001, ratio: 1, clump: 1}
}

func (w *world) tick(from time.Time, length time.Duration) Tick {
	t := Tick{From: from, To: from.Add(length), Newest: from.Add(length - time.Second), Pods: map[string]map[Side]Counts{}, Series: map[Side]int{New: w.pods, Old: w.pods}}
	base := w.base * max(1, w.both)
	for i := range w.pods {
		n := draw.Poisson(w.rng, w.rps*length.Seconds()/float64(w.pods))
		c := draw.Binomial(w.rng, n, w.share)
		if w.byInstance > 0 {
			c = 0
			if i < w.byInstance {
				c = n
			}
		}
		t.Pods["shop/pod-"+strconv.Itoa(i)] = map[Side]Counts{
			New: w.side(c, min(1, base*w.ratio), w.fail, 1+w.slow), Old: w.side(n-c, base, 0, 1)}
	}
	return t
}

func (w *world) side(n int, p, fail, scale float64) Counts {
	errors := min(n, draw.Clumped(w.rng, float64(n), p, w.clump)+draw.Binomial(w.rng, n, fail))
	c := Counts{Requests: float64(n), Errors: float64(errors), Timed: float64(n), Slow: map[float64]float64{}}
	if errors > 0 {
		c.Codes = map[string]float64{"200": float64(n - errors), "503": float64(errors)}
	}
	bounds := []float64{25, 50, 100, 250, 500, 1000}
	for i, slow := range draw.Above(w.rng, n, bounds, 40*scale) {
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
