package metrics

import (
	"math"
	"time"
)

// Traffic is what a plan may expect of a service.
type Traffic struct {
	// RPS is requests a second of both sides, ErrorRate the old policy's share of errors.
	RPS, ErrorRate float64
	// Clump is the mean number of errors that come together, 1 for independent ones; Phi is φ.
	Clump, Phi float64
	// Floor is the error floor; 0 takes clamp(3·ErrorRate, 0.02 %, 0.1 %).
	Floor float64
}

func (t Traffic) floor() float64 {
	if t.Floor > 0 {
		return t.Floor
	}
	return max(floorLeast, min(floorMost, floorFactor*t.ErrorRate))
}

// ReachableBound is the smallest margin that a policy which does no harm is expected to show in a step of that length at
// that share: the score D_m of JUDGE.md section 2 on the expected counts. +Inf where none of them is reached.
func ReachableBound(t Traffic, share float64, length time.Duration, confidence float64) float64 {
	n := t.RPS * length.Seconds()
	b := bounds{}.add(n*share*t.ErrorRate, n*share, n*(1-share)*t.ErrorRate, n*(1-share), t.floor(), max(1, t.Phi))
	return b.shown(confidence)
}

// TimeToBound is how long a proof step is expected to need for a bound at a share, in steps of tick; false where longest
// is not enough.
func TimeToBound(t Traffic, share, margin, confidence float64, tick, longest time.Duration) (time.Duration, bool) {
	for d := tick; d <= longest; d += tick {
		if ReachableBound(t, share, d, confidence) <= margin {
			return d, true
		}
	}
	return longest, false
}

// reaction is the seconds from the begin of a gross harm to its end in JUDGE.md's simulations: one tick of 15 s and 12 s
// until it is neutralised. harmFit is the factor of its formula that was fitted to them, within 45 %.
const (
	reaction = 27.0
	harmFit  = 2.2
)

// Harmed is the number of requests that a harm which multiplies errors by ratio costs until it is found, from the first
// step at that share on (JUDGE.md section 2, with ρ0 = 1.1):
//
//	h(ρ) = 8.2·(ρ−1) / (ρ·ln(ρ/1.1) − (ρ−1.1));  harmed ≈ 2.2·h(ρ)·clump + 27 s·share·RPS·δ,  δ = (ρ−1)·error rate
//
// It hardly depends on traffic. A ratio of 1.1 or less is tolerated and never found: +Inf.
func Harmed(t Traffic, first, ratio float64) float64 {
	const tolerated = 1.1
	if ratio <= tolerated {
		return math.Inf(1)
	}
	h := 8.2 * (ratio - 1) / (ratio*math.Log(ratio/tolerated) - (ratio - tolerated))
	failing := min(1-t.ErrorRate, (ratio-1)*t.ErrorRate)
	return harmFit*h*max(1, t.Clump) + reaction*first*t.RPS*failing
}

// PlannedLength is the length and the share of a step for planning.
type PlannedLength struct {
	Kind        StepKind
	Share       float64
	Min, Max    time.Duration
	MinRequests float64
}

// GoodLength is how long a policy that does no harm is expected to take, and at the longest without a suspicion: watch
// steps until their least time and requests, the proof until its bound, the others their least time.
func GoodLength(t Traffic, steps []PlannedLength, margin, confidence float64, tick time.Duration) (expected, longest time.Duration) {
	for _, s := range steps {
		d := s.Min
		if s.Share > 0 && t.RPS > 0 {
			ticks := math.Ceil(s.MinRequests / (s.Share * t.RPS) / tick.Seconds())
			d = max(d, min(s.Max, time.Duration(ticks*float64(tick))))
		}
		if s.Kind == StepProof {
			proof, _ := TimeToBound(t, s.Share, margin, confidence, tick, s.Max)
			d = max(d, proof)
		}
		expected += d
		longest += max(d, s.Max)
	}
	return expected, longest
}

// Dropped tells which watch steps are left out since they would see too little: RPS·share·max < 2·minRequests (JUDGE.md
// section 2). Nothing is dropped where the traffic is not known.
func Dropped(rps float64, steps []PlannedLength) []int {
	var out []int
	for i, s := range steps {
		if rps > 0 && s.Kind == StepWatch && rps*s.Share*s.Max.Seconds() < 2*s.MinRequests {
			out = append(out, i)
		}
	}
	return out
}
