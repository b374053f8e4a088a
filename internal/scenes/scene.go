// Package scenes draws the traffic of simulated rollouts: ticks of metrics from a seeded generator, harmless ones with
// the troubles of real services and harmful ones. The models are those of the simulations behind the judge (clumps,
// bursts, sick pods, shared outages, latency noise); tests, simulations and benchmarks share them.
package scenes

import (
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
	"github.com/meshpol/meshpol/pkg/metrics"
)

// Scene is a service and what befalls it.
type Scene struct {
	Name string
	// RPS is requests a second of both sides, Pods how many pods serve them, by request both sides each.
	RPS  float64
	Pods int
	// Base is the error rate, Clump the mean number of errors that come together.
	Base, Clump float64
	// Ratio multiplies the new side's errors, Fail adds a failing share, Slow multiplies its latency; 0 is none of it.
	Ratio, Fail, Slow float64
	// Both multiplies the errors of both sides from the start of step 1 on; 0 is none.
	Both float64
	// Bursts is the expected number of bursts of 100 errors in 15 minutes, which hit one pod's side by its share of
	// requests, or the new side alone where OnlyNew is set.
	Bursts  float64
	OnlyNew bool
	// Sick is the number of episodes per pod and hour in which half of a pod's requests fail for 30 s.
	Sick float64
	// Noise is the standard deviation of a log factor on latency, new in every tick and pod and side. Latency turns
	// durations on; without it none are drawn.
	Noise   float64
	Latency bool
	// Outage is a share that both sides fail for 60 s, beginning at OutageAt seconds.
	Outage, OutageAt float64
	// Biased lets the harm act on the new half of step 0 too. Fan is how many requests have one id in common, Unusable the
	// share of ids that stay old.
	Biased   bool
	Fan      int
	Unusable float64
	// Refuses is what the policies refuse by design.
	Refuses Refusals
}

// Player draws one rollout of a scene.
type Player struct {
	scene Scene
	rng   *rand.Rand
	sick  map[int]time.Time
	begun time.Time
	pods  []string
}

// Play begins a rollout. The same scene and seed draw the same ticks.
func (s Scene) Play(seed uint64) *Player {
	p := &Player{scene: s, rng: rand.New(rand.NewPCG(seed, 17)), sick: map[int]time.Time{}}
	for i := range max(1, s.Pods) {
		p.pods = append(p.pods, "shop/pod-"+strconv.Itoa(i))
	}
	return p
}

// Tick draws an interval of a step. At step 0 both sides are under the old policy. By instance the share is one of pods.
func (p *Player) Tick(step metrics.JudgeStep, from time.Time, length time.Duration) metrics.Tick {
	if p.begun.IsZero() {
		p.begun = from
	}
	n := len(p.pods)
	t := metrics.Tick{From: from, To: from.Add(length), Newest: from.Add(length - time.Second),
		Pods: make(map[string]map[metrics.Side]metrics.Counts, n), Series: map[metrics.Side]int{metrics.New: n, metrics.Old: n}}
	s, harmed := p.scene, step.Kind != metrics.StepStage || p.scene.Biased
	base := s.Base
	if harmed && s.Both > 0 {
		base *= s.Both
	}
	fail := 0.0
	if at := from.Sub(p.begun).Seconds(); s.Outage > 0 && at >= s.OutageAt && at < s.OutageAt+60 {
		fail = s.Outage
	}
	hit := -1
	if harmed && p.rng.Float64() < s.Bursts*length.Seconds()/900 {
		hit = p.rng.IntN(n)
	}
	all := s.RPS * length.Seconds()
	fan := max(1, s.Fan)
	canary := fan * draw.Binomial(p.rng, int(all)/fan, step.Share*(1-s.Unusable))
	for i, pod := range p.pods {
		c := canary*(i+1)/n - canary*i/n
		o := (int(all)-canary)*(i+1)/n - (int(all)-canary)*i/n
		if step.ByInstance {
			c, o = 0, int(all)*(i+1)/n-int(all)*i/n
			if i < int(math.Ceil(step.Share*float64(n))) {
				c, o = o, 0
			}
		}
		both := 1 - (1-fail)*(1-p.ill(i, from, length))
		ratio, extra, slow := 1.0, both, 1.0
		if harmed {
			ratio, slow = orOne(s.Ratio), orOne(s.Slow)
			extra = 1 - (1-both)*(1-s.Fail)
		}
		sides := map[metrics.Side]metrics.Counts{
			metrics.New: p.side(c, base*ratio, extra, slow), metrics.Old: p.side(o, base, both, 1),
		}
		if step.ByInstance {
			maps.DeleteFunc(sides, func(_ metrics.Side, c metrics.Counts) bool { return c.Requests == 0 })
		}
		s.Refuses.take(p.rng, sides, s.Base, from.Sub(p.begun))
		if i == hit {
			burst(sides, s.OnlyNew || p.rng.Float64() < step.Share)
		}
		t.Pods[pod] = sides
	}
	return t
}

func orOne(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

// burst adds a hundred errors, which are requests too.
func burst(sides map[metrics.Side]metrics.Counts, onNew bool) {
	side := metrics.Old
	if onNew {
		side = metrics.New
	}
	c := sides[side]
	c.Requests, c.Errors = c.Requests+100, c.Errors+100
	sides[side] = c
}

// ill is the share of a pod's requests that fail since it is sick.
func (p *Player) ill(pod int, from time.Time, length time.Duration) float64 {
	if p.scene.Sick <= 0 {
		return 0
	}
	if p.rng.Float64() < p.scene.Sick*length.Hours() {
		p.sick[pod] = from.Add(30 * time.Second)
	}
	if from.Before(p.sick[pod]) {
		return 0.5
	}
	return 0
}

// median is that of the latencies, in milliseconds; their 99th percentile is 257 ms.
const median = 40.0

// Buckets are the bounds that durations are counted at, in milliseconds.
func Buckets() []float64 { return []float64{5, 10, 25, 50, 100, 250, 500, 1000, 2500} }

func (p *Player) side(n int, rate, fail, scale float64) metrics.Counts {
	x := draw.Clumped(p.rng, float64(n), math.Min(1, rate), p.scene.Clump) + draw.Binomial(p.rng, n, fail)
	if p.scene.Clump <= 1 {
		x = min(x, n)
	}
	c := metrics.Counts{Requests: math.Max(float64(n), float64(x)), Errors: float64(x)}
	if !p.scene.Latency {
		return c
	}
	noise := 1.0
	if p.scene.Noise > 0 {
		noise = math.Exp(p.scene.Noise * p.rng.NormFloat64())
	}
	c.Timed, c.Slow = float64(n), map[float64]float64{}
	bounds := Buckets()
	for i, slow := range draw.Above(p.rng, n, bounds, median*scale*noise) {
		c.Slow[bounds[i]] = float64(slow)
	}
	return c
}

// History draws six hours of the old policy in two halves, as a judge's History; hours may be fewer.
func (s Scene) History(seed uint64, hours float64) metrics.History {
	r := rand.New(rand.NewPCG(seed, 99))
	const tick = 15 * time.Second
	h := metrics.History{Tick: tick}
	if s.Latency {
		h.Bounds = Buckets()
	}
	n := s.RPS * tick.Seconds() / 2
	for range int(hours * 240) {
		var halves [2]metrics.HalfCount
		for i := range halves {
			halves[i] = metrics.HalfCount{Requests: n, Errors: float64(draw.Clumped(r, n, s.Base, s.Clump))}
			if s.Latency {
				halves[i].Timed = n
				noise := math.Exp(s.Noise / 2 * r.NormFloat64())
				for _, slow := range draw.Above(r, int(n), h.Bounds, median*noise) {
					halves[i].Slow = append(halves[i].Slow, float64(slow))
				}
			}
		}
		h.Ticks = append(h.Ticks, halves)
	}
	return h
}

// Ramp is the default ramp by request, without step 0: 1, 5, 25 %, the proof at 50 %, and the bake at 95 %.
func Ramp() []metrics.JudgeStep {
	const m = time.Minute
	return []metrics.JudgeStep{
		{Index: 1, Kind: metrics.StepWatch, Share: 0.01, Min: m, Max: 10 * m, MinRequests: 20},
		{Index: 2, Kind: metrics.StepWatch, Share: 0.05, Min: m, Max: 10 * m, MinRequests: 20},
		{Index: 3, Kind: metrics.StepWatch, Share: 0.25, Min: 2 * m, Max: 10 * m, MinRequests: 20},
		{Index: 4, Kind: metrics.StepProof, Share: 0.5, Min: 2 * m, Max: 20 * m, MinRequests: 20},
		{Index: 5, Kind: metrics.StepBake, Share: 0.95, Min: 5 * m, Max: 10 * m, MinRequests: 20},
	}
}

// Instances are the steps of a canary by instance: one pod of n, a quarter, a half.
func Instances(n int) []metrics.JudgeStep {
	const m = time.Minute
	return []metrics.JudgeStep{
		{Index: 1, Kind: metrics.StepWatch, ByInstance: true, Share: 1 / float64(n), Min: 2 * m, Max: 10 * m, MinRequests: 20},
		{Index: 2, Kind: metrics.StepWatch, ByInstance: true, Share: 0.25, Min: 2 * m, Max: 10 * m, MinRequests: 20},
		{Index: 3, Kind: metrics.StepProof, ByInstance: true, Share: 0.5, Min: 2 * m, Max: 20 * m, MinRequests: 20},
	}
}

// End is how a simulated rollout ended.
type End struct {
	Judgement metrics.Judgement
	Step      metrics.JudgeStep
	// At is the time since the beginning, Bound the bound shown at the end of the proof step.
	At    time.Duration
	Bound float64
	// Harmed is the number of the new side's requests that failed because of the scene's harm, as expected.
	Harmed float64
}

// Run carries a rollout through steps until a verdict that does not advance. The tick is 15 s.
func (s Scene) Run(j metrics.Judge, seed uint64, steps []metrics.JudgeStep) End {
	const tick = 15 * time.Second
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p, now, course, end := s.Play(seed), begun, metrics.Begin(j), End{}
	for _, step := range steps {
		step.Started, end.Step = now, step
		for {
			drawn := p.Tick(step, now, tick)
			now = now.Add(tick)
			if step.Kind != metrics.StepStage {
				end.Harmed += drawn.Total(metrics.New).Requests * math.Min(1, (orOne(s.Ratio)-1)*s.Base+s.Fail)
			}
			known := step
			if known.ByInstance {
				known.Share = 0 // nobody knows how much traffic the pods will get
			}
			end.Judgement = course.Step(known, drawn, now)
			if v := end.Judgement.Verdict; v != metrics.Wait && v != metrics.NoData {
				break
			}
			if now.Sub(step.Started) >= 3*step.Max+tick {
				break
			}
		}
		end.At = now.Sub(begun)
		if step.Kind == metrics.StepProof {
			end.Bound = end.Judgement.Bound
		}
		if end.Judgement.Verdict != metrics.Pass {
			return end
		}
	}
	return end
}
