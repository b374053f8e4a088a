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

	"github.com/meshpol/meshpol/internal/traffic"
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

// service is the scene's service as the model has it.
func (s Scene) service() traffic.Service {
	out := traffic.Service{RPS: s.RPS, Pods: max(1, s.Pods), Errors: s.Base, Clumps: s.Clump, Median: median, SideNoise: s.Noise, Fan: s.Fan, Sick: s.Sick}
	if !s.OnlyNew {
		out.Bursts = 4 * s.Bursts
	}
	if s.Latency {
		out.Bounds = Buckets()
	}
	return out
}

// Player draws one rollout of a scene.
type Player struct {
	scene  Scene
	world  *traffic.World
	rng    *rand.Rand
	begun  time.Time
	pods   []string
	bounds []float64
}

// Play begins a rollout. The same scene and seed draw the same ticks.
func (s Scene) Play(seed uint64) *Player {
	service := s.service()
	p := &Player{scene: s, rng: rand.New(rand.NewPCG(seed, 17)), world: traffic.NewWorld(service, seed), bounds: service.Bounds}
	for i := range service.Pods {
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
	since := from.Sub(p.begun)
	sky, effect := p.world.Weather(since, since+length), traffic.Effect{}
	s, harmed := p.scene, step.Kind != metrics.StepStage || p.scene.Biased
	if harmed {
		sky.Errors *= orOne(s.Both)
		effect = traffic.Effect{More: max(0, min(1, sky.Errors*(orOne(s.Ratio)-1))), Fail: s.Fail, Slower: orOne(s.Slow) - 1}
	}
	if at := since.Seconds(); s.Outage > 0 && at >= s.OutageAt && at < s.OutageAt+60 {
		for i := range sky.Sick {
			sky.Sick[i] = 1 - (1-sky.Sick[i])*(1-s.Outage)
		}
	}
	hit := -1
	if s.OnlyNew && p.rng.Float64() < s.Bursts*length.Seconds()/900 {
		hit = p.rng.IntN(n)
	}
	for i, pod := range p.world.Pass(since, since+length, sky, p.shares(step), effect) {
		if i == hit {
			pod.New.Requests, pod.New.Errors = pod.New.Requests+100, pod.New.Errors+100
		}
		sides := map[metrics.Side]metrics.Counts{metrics.New: p.counts(pod.New), metrics.Old: p.counts(pod.Old)}
		if step.ByInstance {
			maps.DeleteFunc(sides, func(_ metrics.Side, c metrics.Counts) bool { return c.Requests == 0 })
		}
		s.Refuses.take(p.rng, sides, s.Base, since)
		t.Pods[p.pods[i]] = sides
	}
	return t
}

// shares are the new side's of each pod's requests.
func (p *Player) shares(step metrics.JudgeStep) []float64 {
	out := make([]float64, len(p.pods))
	for i := range out {
		switch {
		case !step.ByInstance:
			out[i] = step.Share * (1 - p.scene.Unusable)
		case i < int(math.Ceil(step.Share*float64(len(out)))):
			out[i] = 1
		}
	}
	return out
}

// counts are a side's in the judge's words.
func (p *Player) counts(s traffic.Side) metrics.Counts {
	c := metrics.Counts{Requests: float64(s.Requests), Errors: float64(s.Errors)}
	if len(s.Slow) > 0 {
		c.Timed, c.Slow = c.Requests, make(map[float64]float64, len(s.Slow))
	}
	for i, n := range s.Slow {
		c.Slow[p.bounds[i]] = float64(n)
	}
	return c
}

func orOne(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

// median is that of the latencies, in milliseconds; their 99th percentile is 257 ms.
const median = 40.0

// Buckets are the bounds that durations are counted at, in milliseconds.
func Buckets() []float64 { return []float64{5, 10, 25, 50, 100, 250, 500, 1000, 2500} }

// History draws six hours of the old policy, as a judge's History; hours may be fewer. It is a quiet time: no trouble of
// pods.
func (s Scene) History(seed uint64, hours float64) metrics.History {
	service := s.service()
	service.Sick, service.Bursts, service.SideNoise = 0, 0, s.Noise/2
	return HistoryOf(service, seed, hours)
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
