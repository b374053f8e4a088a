package metrics

import (
	"math"
	"slices"
	"time"
)

// History is what the old policy did before the rollout, at most the last six hours: counts per tick in two halves of
// the pods, which are drawn once, as by a hash of their names. The halves say how much errors clump: what hits one half
// and not the other within a tick is noise that a comparison will meet too, while an incident of both cancels.
type History struct {
	// Tick is the length of a tick. φ hardly depends on it, as long as what hits both halves together does so in one tick.
	Tick time.Duration `json:"tick"`
	// Bounds are the latency bucket bounds in milliseconds, ascending, that HalfCount.Slow is about.
	Bounds []float64 `json:"bounds,omitempty"`
	// Ticks are both halves of each tick, oldest first. Ticks without data may be left out.
	Ticks [][2]HalfCount `json:"ticks"`
	// Ages are how many ticks before the end of the history each one is, where ticks are left out: the last one is 0 where
	// it ended just then. Empty: none is left out.
	Ages []int `json:"ages,omitempty"`
	// Recent is requests a second in the last half hour, where ticks of it are left out that say how many were sent all the
	// same; 0: the ticks say it.
	Recent float64 `json:"recent,omitempty"`
}

// HalfCount is what one half of the pods counted in one tick.
type HalfCount struct {
	Requests float64 `json:"n"`
	Errors   float64 `json:"x"`
	// Timed requests have a duration; Slow counts those above each of History.Bounds.
	Timed float64   `json:"t,omitempty"`
	Slow  []float64 `json:"slow,omitempty"`
}

// Baseline is what a judge keeps of a history: a few numbers, whatever its length.
type Baseline struct {
	// Requests and Errors were counted in Seconds.
	Requests float64 `json:"n"`
	Errors   float64 `json:"x"`
	Seconds  float64 `json:"s"`
	// Clumping is φ of the errors, as Clumping gives it.
	Clumping float64 `json:"phi"`
	// Struck is the same within incidents, which Clumping leaves out; 0 where there were none.
	Struck float64 `json:"struck,omitempty"`
	// Incidents is the part of the ticks that are of incidents.
	Incidents float64 `json:"incidents,omitempty"`
	// Timed requests have a duration; Tails counts those above each bound.
	Timed float64 `json:"t,omitempty"`
	Tails []Tail  `json:"tails,omitempty"`
}

// Tail counts requests of the old policy that were slower than a bound in milliseconds, with their own φ.
type Tail struct {
	Bound    float64 `json:"b"`
	Slow     float64 `json:"n"`
	Clumping float64 `json:"phi,omitempty"`
}

// mostRequests is more than anybody counts in six hours; a history beyond it is damaged, and could not be saved.
const mostRequests = 1e15

// Baseline sums a history up. An empty one gives an empty Baseline, as does one with numbers that no service has.
func (h History) Baseline() Baseline {
	var b Baseline
	var errors, struck clumps
	tails, slow := make([]clumps, len(h.Bounds)), make([]float64, len(h.Bounds))
	usual := h.usual()
	for _, t := range h.Ticks {
		a, c := t[0], t[1]
		b.Requests, b.Errors, b.Timed = b.Requests+a.Requests+c.Requests, b.Errors+a.Errors+c.Errors, b.Timed+a.Timed+c.Timed
		if h.struck(a, c, usual) {
			struck = struck.add(a.Errors, a.Requests, c.Errors, c.Requests)
			b.Incidents += 1 / float64(len(h.Ticks))
		} else {
			errors = errors.add(a.Errors, a.Requests, c.Errors, c.Requests)
		}
		for i := range h.Bounds {
			for _, half := range t { // a service of few pods may have them all in one half
				if i < len(half.Slow) {
					slow[i] += half.Slow[i]
				}
			}
			if i < len(a.Slow) && i < len(c.Slow) {
				tails[i] = tails[i].add(a.Slow[i], a.Timed, c.Slow[i], c.Timed)
			}
		}
	}
	if !(b.Requests <= mostRequests && b.Errors <= mostRequests && b.Timed <= mostRequests) { // written so that NaN is refused
		return Baseline{}
	}
	b.Seconds = float64(len(h.Ticks)) * h.Tick.Seconds()
	if b.Requests > 0 {
		b.Clumping = errors.phi()
	}
	if struck.Events > 0 {
		b.Struck = struck.phi()
	}
	for i, bound := range h.Bounds {
		if b.Timed > 0 {
			b.Tails = append(b.Tails, Tail{Bound: bound, Slow: slow[i], Clumping: tails[i].phi()})
		}
	}
	return b
}

// usual is the error rate of the quieter half of the ticks.
func (h History) usual() float64 {
	rates := make([]float64, 0, len(h.Ticks))
	for _, t := range h.Ticks {
		if n := t[0].Requests + t[1].Requests; n > 0 {
			rates = append(rates, (t[0].Errors+t[1].Errors)/n)
		}
	}
	slices.Sort(rates)
	rates = rates[:(len(rates)+1)/2]
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum / max(1, float64(len(rates)))
}

// struck tells a tick of an incident: a bound takes none from such ticks of a rollout either, so that they say nothing of
// how errors clump in those that it does.
func (History) struck(a, b HalfCount, usual float64) bool {
	n, x := a.Requests+b.Requests, a.Errors+b.Errors
	return x >= incidentErrors && x >= incidentShare*n && x > incidentRatio*usual*n
}

// counting is the baseline with the latency bounds that are counted now; without durations where none is.
func (b Baseline) counting(slow map[float64]float64) *Baseline {
	b.Tails = slices.DeleteFunc(slices.Clone(b.Tails), func(t Tail) bool {
		_, counted := slow[t.Bound]
		return !counted
	})
	if len(b.Tails) == 0 {
		b.Timed = 0
	}
	return &b
}

// Rate is the number of requests in a second, 0 where nothing is known.
func (b Baseline) Rate() float64 {
	if b.Seconds <= 0 {
		return 0
	}
	return b.Requests / b.Seconds
}

// limit is an upper end of the error rate, U = (X + 3.1·√(φX) + 5φ)/N (JUDGE.md section 2): the chance that a service
// that goes on as before is worse is about 0.1 %. 1 where nothing is known.
func (b Baseline) limit() float64 {
	if b.Requests <= 0 {
		return 1
	}
	phi := max(1, b.Clumping)
	return min(1, (b.Errors+3.1*math.Sqrt(phi*b.Errors)+5*phi)/b.Requests)
}

// An incident in the past: so many requests of a tick fail that it is no clump, such a share of them, and so many times
// the usual one.
const (
	incidentErrors = 100
	incidentShare  = 0.02
	incidentRatio  = 3
)

// Clumping limits: without so many events nothing can be said, and φ is unknownClumping; a measured one is multiplied by
// clumpingSafety (JUDGE.md section 2).
const (
	clumpEvents     = 20
	unknownClumping = 3
	clumpingSafety  = 1.2
)

// clumps are the sums behind φ̂ = Σ(X_A − m·q)² / Σ m·q(1−q), q = N_A/(N_A+N_B), over ticks (ANALYSIS.md section 3).
type clumps struct {
	Num    float64 `json:"a,omitempty"`
	Den    float64 `json:"b,omitempty"`
	Events float64 `json:"x,omitempty"`
	Ticks  float64 `json:"t,omitempty"`
}

// add takes a tick in: xa of na requests were bad in one half, xb of nb in the other.
func (c clumps) add(xa, na, xb, nb float64) clumps {
	if na <= 0 || nb <= 0 {
		return c
	}
	q, m := na/(na+nb), xa+xb
	return clumps{Num: c.Num + (xa-m*q)*(xa-m*q), Den: c.Den + m*q*(1-q), Events: c.Events + m, Ticks: c.Ticks + 1}
}

// phi is φ by the rule of JUDGE.md section 2: 3 with fewer than 20 events, 1 where φ̂ ≤ 1 + 2·√(2/ticks), since that is
// noise, else 1.2·φ̂.
func (c clumps) phi() float64 {
	if c.Events < clumpEvents || c.Den <= 0 || c.Ticks <= 0 {
		return unknownClumping
	}
	measured := c.Num / c.Den
	if measured <= 1+2*math.Sqrt(2/c.Ticks) {
		return 1
	}
	return clumpingSafety * measured
}

// Error floors without an SLO (JUDGE.md section 2): clamp(3·stable, 0.02 %, 0.1 %). A floor of 0.1 % for everybody would
// hide ten times the errors of a service that has 0.01 %.
const (
	floorFactor = 3
	floorLeast  = 0.0002
	floorMost   = 0.001
)

// ErrorFloor is the error rate below which nobody cares, for a service without an SLO that had x errors in n requests.
// One error is added: with few requests none seen does not mean none made. Nothing known gives the largest floor.
func ErrorFloor(x, n float64) float64 {
	if n <= 0 {
		return floorMost
	}
	return max(floorLeast, min(floorMost, floorFactor*(x+1)/n))
}
