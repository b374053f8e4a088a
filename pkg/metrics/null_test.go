package metrics

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
)

// Every rung of the ladder, and every ratio that a latency bound may tolerate, is an e-variable up to its own ratio.
func TestLadderIsAnEVariable(t *testing.T) {
	steep := math.Pow(1.1, steepest)
	cases, worst := 0, 0.0
	eachNull([]float64{steep, 3, 8, 20, 100}, func(nc, ns int, pc, ps, rho float64) {
		p0 := nullMean(float64(nc), float64(ns), rho)
		for _, g := range []float64{1.2, 3, 30, 1000} {
			sum := 0.0
			for i := 0; i <= nc; i++ {
				for j := 0; j <= ns; j++ {
					factor := 1.0
					if i+j > 0 {
						factor = (1 + (g-1)*float64(i)/float64(i+j)) / (1 + (g-1)*p0)
					}
					sum += pmf(nc, i, pc) * pmf(ns, j, ps) * factor
				}
			}
			cases, worst = cases+1, max(worst, sum)
		}
	})
	t.Logf("%d cases, largest expectation %.9f", cases, worst)
	if worst > 1+1e-9 || worst < 0.95 || cases < 1000 {
		t.Errorf("no e-variable: %.9f in %d cases", worst, cases)
	}
}

// The bound on latency bets against "the tail is at least m^κ times the old one": an e-variable at that ratio.
func TestLatencyBoundIsAnEVariable(t *testing.T) {
	worst := 0.0
	for _, kappa := range []float64{1, 2.7, 4} {
		ms := slower{Kappa: kappa}.margins()
		for i, m := range ms {
			eachNull([]float64{1}, func(nc, ns int, _, ps, _ float64) {
				pc := m * ps
				if pc >= 0.999 {
					return
				}
				sum := 0.0
				for x := 0; x <= nc; x++ {
					for y := 0; y <= ns; y++ {
						d := downs{}.ratio(ms, float64(x), float64(nc), float64(y), float64(ns), 1)
						sum += pmf(nc, x, pc) * pmf(ns, y, ps) * d.mean(i)
					}
				}
				worst = max(worst, sum)
			})
		}
	}
	if worst > 1+1e-9 || worst < 0.9 {
		t.Errorf("largest expectation %.9f", worst)
	}
}

// Before and after: over all histories that a service may have had, a service that goes on as before, or gets worse within
// the tolerance, does not raise the score.
func TestBeforeAndAfterIsAnEVariable(t *testing.T) {
	worst := 0.0
	for _, n := range []int{500, 5000, 50000} {
		for _, p := range []float64{0.0001, 0.001, 0.01, 0.1} {
			for _, tolerance := range []float64{1.5, 2} {
				for _, g := range harms() {
					mean, sum := p*float64(n), 0.0
					for x := 0; x <= int(mean+12*math.Sqrt(mean)+30) && x <= n; x++ {
						p0 := min(1, tolerance*Baseline{Requests: float64(n), Errors: float64(x), Clumping: 1}.limit())
						now := min(1, p*tolerance)
						sum += pmf(n, x, p) * (1 + (g-1)*now) / (1 + (g-1)*p0)
					}
					worst = max(worst, sum)
				}
			}
		}
	}
	t.Logf("largest expectation %.9f", worst)
	if worst > 1 || worst < 0.9 {
		t.Errorf("largest expectation %.9f", worst)
	}
}

// The tripwire's observations have a mean of at most P0 while the new policy does no harm, whatever clumps, bursts, sick
// pods and outages do; where everything fails they are nearly 1.
func TestTripwireNullMean(t *testing.T) {
	for _, c := range []struct {
		name                     string
		base, clump, sick, burst float64 // burst: the chance of 40 errors of one pod in a reading
		both, harm               float64
		pods                     int
		least, most              float64
	}{
		{"clumps", 0.01, 10, 0, 0, 0, 0, 6, 0, 0.02},
		{"bursts", 0.001, 1, 0, 0.2, 0, 0, 6, 0, 0.02},
		{"bursts on one pod", 0.001, 1, 0, 0.2, 0, 0, 1, 0, 0.02},
		{"half of the pods a little sick", 0.001, 1, 0.08, 0, 0, 0, 6, 0, 0.02},
		{"both fail 4 %", 0.001, 3, 0, 0.05, 0.04, 0, 4, 0, 0.02},
		{"nine of ten fail", 0.001, 1, 0, 0, 0, 0.9, 6, 0.5, 1},
	} {
		r, w := rand.New(rand.NewPCG(5, 6)), Tripwire{Config: DefaultTripwireConfig(c.base)}
		step := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.1}
		sum, n, state := 0.0, 0, TripState{}
		state, _ = state.enter(step)
		for range 4000 {
			tick := Tick{From: start(), To: start().Add(time.Second), Pods: map[string]map[Side]Counts{}}
			for p := range c.pods {
				fail := c.both
				if p%2 == 1 {
					fail += c.sick
				}
				side := func(n int, fail float64) Counts {
					return Counts{Requests: float64(n), Errors: min(float64(n), float64(draw.Binomial(r, n, fail)+draw.Clumped(r, float64(n), c.base, c.clump)))}
				}
				fresh := side(draw.Poisson(r, 30/float64(c.pods)), fail+c.harm*(1-fail))
				if r.Float64() < c.burst/float64(c.pods) {
					fresh.Requests, fresh.Errors = fresh.Requests+40, fresh.Errors+40
				}
				tick.Pods["shop/pod-"+strconv.Itoa(p)] = map[Side]Counts{New: fresh, Old: side(draw.Poisson(r, 270/float64(c.pods)), fail)}
			}
			state = w.gather(state, step, tick, 1)
			y, old, full := w.observation(state, step)
			if !full {
				continue
			}
			state.Open = nil
			if old[3] <= w.Config.SickStable*old[2] {
				sum, n = sum+y, n+1
			}
		}
		if n < 1000 {
			t.Errorf("%s: %d observations are too few", c.name, n)
		}
		if mean := sum / float64(max(1, n)); mean > c.most || mean < c.least {
			t.Errorf("%s: mean %.4f of %d observations, want %g to %g", c.name, mean, n, c.least, c.most)
		} else {
			t.Logf("%s: mean %.5f of %d observations", c.name, mean, n)
		}
	}
}
