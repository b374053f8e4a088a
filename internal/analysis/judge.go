package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshpol/meshpol/internal/scenes"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// scene is a row of a table that a judge alone is asked about; spec is what the specification's own simulation had.
type scene struct {
	name  string
	scene scenes.Scene
	spec  []string
}

// looks runs one step of a scene before a judge and gives, for each run, the time of the verdict that is looked for, or
// -1. The runs are dealt to the processors; each has its own seed.
func (s *study) looks(j metrics.Judge, sc scenes.Scene, step metrics.JudgeStep, runs int, found func(metrics.Judgement) bool) []time.Duration {
	const tick = 15 * time.Second
	out := make([]time.Duration, runs)
	var next atomic.Int64
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(runs) && s.ctx.Err() == nil; i = next.Add(1) - 1 {
				player, course, step := sc.Play(uint64(i)+1), metrics.Begin(j), step
				step.Started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
				out[i] = -1
				for now := step.Started; now.Before(step.Started.Add(step.Max)) && out[i] < 0; {
					drawn := player.Tick(step, now, tick)
					now = now.Add(tick)
					if found(course.Step(step, drawn, now)) {
						out[i] = now.Sub(step.Started)
					}
				}
			}
		})
	}
	group.Wait()
	s.done += runs
	return out
}

// within is the share of the runs whose time is at most a limit.
func within(times []time.Duration, limit time.Duration) float64 {
	n := 0
	for _, t := range times {
		if t >= 0 && t <= limit {
			n++
		}
	}
	return float64(n) / float64(len(times))
}

// median is that of the runs that found something.
func median(times []time.Duration) (time.Duration, bool) {
	found := slices.DeleteFunc(slices.Clone(times), func(t time.Duration) bool { return t < 0 })
	if len(found) == 0 {
		return 0, false
	}
	slices.Sort(found)
	return found[len(found)/2], true
}

// judgeFor is a judge with changes to the default.
func judgeFor(change func(*metrics.JudgeConfig)) (metrics.SequentialJudge, error) {
	c := metrics.DefaultJudgeConfig()
	change(&c)
	return metrics.NewJudge(c)
}

// halves are the biases of step 0 with JUDGE.md section 5's figures for 50, 200, 1,000 and 10,000 requests a second.
func halves() []scene {
	return []scene{
		{"nothing", scenes.Scene{}, []string{"0 %", "0 %", "0 %", "0 %"}},
		{"errors 3×", scenes.Scene{Ratio: 3}, []string{"0 / 2 %", "1 / 17 %", "40 / 97 %", "100 %"}},
		{"errors 10×", scenes.Scene{Ratio: 10}, []string{"7 / 67 %", "91 / 100 %", "100 %", "100 %"}},
		{"latency +25 %", scenes.Scene{Slow: 1.25}, []string{"1 / 28 %", "5 / 89 %", "14 / 100 %", "94 / 100 %"}},
		{"latency +50 %", scenes.Scene{Slow: 1.5}, []string{"88 / 100 %", "100 %", "100 %", "100 %"}},
		{"a tenth of ids unusable", scenes.Scene{Unusable: 0.1}, []string{"21 / 91 %", "81 / 100 %", "100 %", "100 %"}},
	}
}

// stopped tells that step 0 finds a bias: whenever it is gross, or at the step's end, in two minutes or in five, that the
// share is off.
func stopped(v metrics.Judgement) bool {
	ends := v.Elapsed == 120 || v.Elapsed == 300
	return v.Verdict == metrics.Inconclusive || ends && len(v.Findings) > 0
}

// stages is the table of what step 0 finds, in two and in five minutes.
func (s *study) stages(out *strings.Builder) error {
	row(out, "bias of one half", "50 requests/s", "200", "1,000", "10,000")
	rule(out, 5)
	for _, h := range halves() {
		cells := []string{h.name}
		for i, rps := range []float64{50, 200, 1000, 10000} {
			sc := h.scene
			sc.RPS, sc.Pods, sc.Base, sc.Clump, sc.Fan, sc.Latency, sc.Noise, sc.Biased = rps, 8, 0.001, 3, 3, true, 0.05, true
			// The bounds of latency are chosen from a history, as where Prometheus has one.
			j, err := judgeFor(func(c *metrics.JudgeConfig) { c.History = sc.History(1, 1) })
			if err != nil {
				return err
			}
			step := metrics.JudgeStep{Kind: metrics.StepStage, Share: 0.5, Min: 5 * time.Minute, Max: 5 * time.Minute, MinRequests: 200}
			times := s.looks(j, sc, step, s.runs, stopped)
			cells = append(cells, fmt.Sprintf("%s / %s (%s)", percent(within(times, 2*time.Minute)), percent(within(times, 5*time.Minute)), h.spec[i]))
		}
		row(out, cells...)
	}
	return nil
}

// refusing are the policies of JUDGE.md section 6 with its figures: 0.5 % are allowed.
func refusing() []scene {
	of := func(r scenes.Refusals) scenes.Scene { return scenes.Scene{Refuses: r} }
	return []scene{
		{"refuses 0.45 %", of(scenes.Refusals{New: 0.0045}), []string{"0–0.2 %"}},
		{"refuses 0.45 %, in clumps of 10", of(scenes.Refusals{New: 0.0045, Clump: 10}), []string{"0–0.2 %"}},
		{"refuses 0.45 %, all in one tick of four", of(scenes.Refusals{New: 0.0045, Bunched: true}), []string{"0–0.2 %"}},
		{"refuses 0.5 %, in clumps of 10", of(scenes.Refusals{New: 0.005, Clump: 10}), []string{"0–0.2 %"}},
		{"old refuses 2 %, new 2.4 %", of(scenes.Refusals{New: 0.024, Old: 0.02}), []string{"0–0.1 %"}},
		{"refuses 1 %", of(scenes.Refusals{New: 0.01}), []string{"100 %, 11–12 min"}},
		{"refuses 2.5 %", of(scenes.Refusals{New: 0.025}), []string{"100 %, 3 min"}},
		{"refuses 30 %", of(scenes.Refusals{New: 0.3}), []string{"100 %, 15–30 s"}},
		{"refuses nothing, other errors 5×", scenes.Scene{Ratio: 5}, []string{"100 %, 45 s–4.2 min"}},
		{"refuses 0.45 %, other errors 5×", scenes.Scene{Ratio: 5, Refuses: scenes.Refusals{New: 0.0045}}, []string{"100 %, 45 s–4.2 min"}},
	}
}

// refusals is the table of policies that refuse requests by design.
func (s *study) refusals(out *strings.Builder) error {
	row(out, "policy", "200 requests/s, 5 %", "200, 50 %", "1,000, 50 %", "specification")
	rule(out, 5)
	j, err := judgeFor(func(c *metrics.JudgeConfig) { c.AllowRefused, c.LatencyTolerance = 0.005, 0 })
	if err != nil {
		return err
	}
	for _, p := range refusing() {
		cells := []string{p.name}
		for _, at := range []struct{ rps, share float64 }{{200, 0.05}, {200, 0.5}, {1000, 0.5}} {
			sc := p.scene
			sc.RPS, sc.Pods, sc.Base, sc.Clump = at.rps, 8, 0.001, 1
			step := metrics.JudgeStep{Index: 1, Kind: metrics.StepWatch, Share: at.share, Min: time.Hour, Max: 30 * time.Minute}
			cells = append(cells, s.failing(j, sc, step))
		}
		row(out, append(cells, p.spec...)...)
	}
	return nil
}

// failing is a cell: the share of the runs that fail, and the median time.
func (s *study) failing(j metrics.Judge, sc scenes.Scene, step metrics.JudgeStep) string {
	times := s.looks(j, sc, step, s.runs, func(v metrics.Judgement) bool { return v.Verdict == metrics.Fail })
	text := percent(within(times, math.MaxInt64))
	if at, ok := median(times); ok && within(times, math.MaxInt64) > 0.5 {
		text += ", " + minutes(1, at.Seconds())
	}
	return text
}

// burning is the table of an absolute objective of 99.9 %, with the whole budget on it: two requests a second on the new
// side, ANALYSIS.md section 6.
func (s *study) burning(out *strings.Builder) error {
	row(out, "failing requests", "taken back", "specification")
	rule(out, 3)
	j, err := judgeFor(func(c *metrics.JudgeConfig) {
		c.SuccessTarget, c.ErrorWeight, c.ObjectiveWeight, c.RollbackOnShared, c.LatencyTolerance = 0.999, 1e-6, 1, true, 0
	})
	if err != nil {
		return err
	}
	for _, p := range []struct {
		share float64
		spec  string
	}{{0.001, "0 %"}, {0.0144, "0.2 %"}, {0.03, "100 %, 8.5 min"}, {0.05, "100 %, 2.2 min"}, {0.1, "100 %, 45 s"}, {0.5, "100 %, 15 s"}, {1, "100 %, 15 s"}} {
		sc := scenes.Scene{RPS: 4, Pods: 8, Base: p.share, Clump: 1}
		step := metrics.JudgeStep{Index: 1, Kind: metrics.StepWatch, Share: 0.5, Min: 2 * time.Hour, Max: time.Hour}
		row(out, percent(p.share), s.failing(j, sc, step), p.spec)
	}
	return nil
}
