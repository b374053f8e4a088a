package metrics

import (
	"math"
	"time"
)

// Forecast is what a plan may promise of a rollout before it starts: how long a policy that does no harm takes, what can
// be shown of it, and what a harm costs until it is found. It supposes that the service goes on as it did.
type Forecast struct {
	// Traffic is what it rests on, Seconds how much of the past it was read from.
	Traffic Traffic
	Seconds float64
	// Guessed tells that too few requests failed to say how much failures clump.
	Guessed bool
	// Expected is the time of a policy that does no harm, Longest where every step takes all of its time.
	Expected, Longest time.Duration
	// Bound is the multiple of the old error rate that the proof is expected to stay below when it passes, 0 where it shows
	// none in its Max. Reached tells that it is the one aimed at.
	Bound   float64
	Reached bool
	// Proof is the time that the proof takes, ProofMax what it may take, Share its share.
	Proof, ProofMax time.Duration
	Share           float64
	// Harms are harms with the requests they cost until the policy is taken back, by the judge alone.
	Harms []HarmForecast
}

// HarmForecast is a harm that multiplies errors by Ratio and what it costs; All tells that every request fails.
type HarmForecast struct {
	Ratio    float64
	All      bool
	Requests float64
}

// PlannedLength is the length and the share of a step for planning.
type PlannedLength struct {
	Kind        StepKind
	Share       float64
	Min, Max    time.Duration
	MinRequests float64
}

// forecastRatios are the harms that a forecast tells of.
func forecastRatios() [3]float64 { return [3]float64{2, 5, 10} }

// ForecastOf says what may be promised of a plan's steps where traffic goes on as in the last half hour of a history and
// errors as in all of it. False where there was no traffic.
func ForecastOf(h History, steps []PlannedLength, c JudgeConfig) (Forecast, bool) {
	b, rps := h.Baseline(), h.RecentRate()
	c.Tick = max(c.Tick, time.Second) // a plan is made before its numbers are checked
	if rps <= 0 || b.Requests <= 0 {
		return Forecast{}, false
	}
	t := b.traffic(rps, c.ErrorFloor)
	f := Forecast{Traffic: t, Seconds: b.Seconds, Guessed: b.Errors < clumpEvents}
	var gathered bounds
	for _, s := range steps {
		length := s.least(t, c.Tick)
		if s.Kind == StepProof {
			length = f.prove(gathered, s, length, c)
		}
		if s.Kind != StepStage && s.Kind != StepBake && s.Share >= boundShare {
			gathered = t.gather(gathered, s.Share, length)
		}
		f.Expected += length
		f.Longest += max(length, s.Max)
	}
	if first := firstShare(steps); first > 0 {
		f.Harms = harmsOf(t, first)
	}
	return f, true
}

// prove notes how long the proof takes and what it shows.
func (f *Forecast) prove(gathered bounds, s PlannedLength, least time.Duration, c JudgeConfig) time.Duration {
	f.Share, f.ProofMax = s.Share, s.Max
	for d := least; ; d += c.Tick {
		shown := f.Traffic.gather(gathered, s.Share, d).shown(c.PassConfidence)
		if shown <= c.PassMargin || d >= s.Max {
			f.Proof, f.Reached = min(d, max(s.Max, least)), shown <= c.PassMargin
			if !math.IsInf(shown, 1) {
				f.Bound = shown
			}
			return f.Proof
		}
	}
}

// gather adds the expected counts of a time at a share.
func (t Traffic) gather(b bounds, share float64, length time.Duration) bounds {
	n := t.RPS * length.Seconds()
	return b.add(n*share*t.ErrorRate, n*share, n*(1-share)*t.ErrorRate, n*(1-share), t.floor(), max(1, t.Phi))
}

// least is a step's least time: its Min, or what its requests need.
func (s PlannedLength) least(t Traffic, tick time.Duration) time.Duration {
	if s.Share <= 0 || t.RPS <= 0 {
		return s.Min
	}
	ticks := math.Ceil(s.MinRequests / (s.Share * t.RPS) / tick.Seconds())
	return max(s.Min, time.Duration(min(float64(s.Max), ticks*float64(tick))))
}

// firstShare is the share of the first step that exposes anybody.
func firstShare(steps []PlannedLength) float64 {
	for _, s := range steps {
		if s.Kind != StepStage && s.Share > 0 {
			return s.Share
		}
	}
	return 0
}

func harmsOf(t Traffic, first float64) []HarmForecast {
	var out []HarmForecast
	for _, ratio := range forecastRatios() {
		if ratio*t.ErrorRate < 1 && t.ErrorRate > 0 {
			out = append(out, HarmForecast{Ratio: ratio, Requests: Harmed(t, first, ratio)})
		}
	}
	all := Traffic{RPS: t.RPS, ErrorRate: max(t.ErrorRate, 1e-6), Clump: t.Clump}
	if n := Harmed(all, first, 1/all.ErrorRate); !math.IsInf(n, 1) { // where nearly all fails already, nothing can get worse
		out = append(out, HarmForecast{Ratio: 1 / all.ErrorRate, All: true, Requests: n})
	}
	return out
}

// traffic is what a baseline lets expect; floor 0 takes the one that the judge would take.
func (b Baseline) traffic(rps, floor float64) Traffic {
	if floor <= 0 {
		floor = ErrorFloor(b.Errors, b.Requests)
	}
	return Traffic{RPS: rps, ErrorRate: min(1, b.Errors/b.Requests), Clump: b.Clumping, Phi: b.Clumping, Floor: floor}
}
