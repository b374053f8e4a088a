package metrics

import "math"

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
