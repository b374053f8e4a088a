package metrics

import (
	"math"
	"slices"
)

// maxStrata is the number of groups that pods are dealt into (ANALYSIS.md section 2).
const maxStrata = 8

// scoreCap keeps a score that is long decided from overflowing, also in the four bytes of its saved form.
const scoreCap = 1e30

// harms are the odds multipliers g that the mixture bets on, so that no size of the harm has to be guessed.
func harms() [9]float64 { return [9]float64{1.2, 1.5, 2, 3, 5, 10, 30, 100, 1000} }

// mixture is an e-process against "all is fine": a betting score whose expectation never exceeds 1 while that is true,
// so that P(it ever reaches 1/α) ≤ α (Ville), however often one looks. It mixes over effect sizes and over the time at
// which the harm begins: A[j] is the sum, over start times u, of v(u)/9 times the product of all factors since u for
// g = harms()[j]; Rem is the prior weight of start times to come. With y in {0, 1} it is the binomial mixture SPRT, with
// y a fraction a bet on a bounded mean (Waudby-Smith and Ramdas, arXiv 2010.09686). ANALYSIS.md section 3.
type mixture struct {
	Rem float64
	A   [9]float64
}

func newMixture() mixture { return mixture{Rem: 1} }

// start gives prior weight v to "the harm begins now".
func (m mixture) start(v float64) mixture {
	v = min(v, m.Rem)
	m.Rem -= v
	for j := range m.A {
		m.A[j] += v / float64(len(m.A))
	}
	return m
}

// once counts y (in [0, 1], with a mean of at most p0 if all is fine) as one observation, whatever the dependence
// among the requests behind it.
func (m mixture) once(y, p0 float64) mixture {
	m.A = times9(m.A, factors(y, p0))
	return m
}

// factors are what an observation multiplies the score by, for each multiplier of the odds.
func factors(y, p0 float64) [9]float64 {
	out := harms()
	for j, g := range out {
		out[j] = (1 + (g-1)*y) / (1 + (g-1)*p0)
	}
	return out
}

func times9(a, f [9]float64) [9]float64 {
	for j := range a {
		a[j] = min(scoreCap, a[j]*f[j])
	}
	return a
}

// each counts every one of n events as an observation of its own, x of them on the new side; phi deflates the evidence.
func (m mixture) each(x, n, p0, phi float64) mixture {
	for j, g := range harms() {
		m.A[j] = min(scoreCap, m.A[j]*math.Exp((x*math.Log(g)-n*math.Log1p((g-1)*p0))/phi))
	}
	return m
}

func (m mixture) value() float64 {
	sum := m.Rem
	for _, a := range m.A {
		sum += a
	}
	return sum
}

// evidence is a mixture with copies that each leave one stratum out, so that no single pod may decide.
type evidence struct {
	All  mixture
	Skip [][9]float64
}

func newEvidence() evidence { return evidence{All: newMixture()} }

// strata makes room for k copies; a new one has left nothing out yet.
func (e evidence) strata(k int) evidence {
	e.Skip = slices.Clone(e.Skip)
	for len(e.Skip) < k {
		e.Skip = append(e.Skip, e.All.A)
	}
	return e
}

func (e evidence) start(v float64) evidence {
	v = min(v, e.All.Rem)
	e.All = e.All.start(v)
	e.Skip = slices.Clone(e.Skip)
	for i := range e.Skip {
		for j := range e.Skip[i] {
			e.Skip[i][j] += v / float64(len(e.Skip[i]))
		}
	}
	return e
}

// once counts one observation of a stratum. The receiver's copies are overwritten: start made them.
func (e evidence) once(stratum int, y, p0 float64) evidence {
	f := factors(y, p0)
	e.All.A = times9(e.All.A, f)
	for i := range e.Skip {
		if i != stratum {
			e.Skip[i] = times9(e.Skip[i], f)
		}
	}
	return e
}

func (e evidence) value() float64 { return e.All.value() }

// without is the evidence without its most telling one of k strata; +Inf where there is none to leave out.
func (e evidence) without(k int) float64 {
	least := math.Inf(1)
	for i := range min(k, len(e.Skip)) {
		least = min(least, mixture{Rem: e.All.Rem, A: e.Skip[i]}.value())
	}
	return least
}

// enough is the guard of ANALYSIS.md section 3: without its most telling stratum the evidence must be at least 10, or 1
// with two or three strata. With one stratum there is nothing to leave out.
func enough(without float64, k int) bool {
	switch {
	case k <= 1:
		return true
	case k < 4:
		return without >= 1
	default:
		return without >= 10
	}
}

func (e evidence) guarded(k int) bool { return enough(e.without(k), k) }

// nullShare is the new side's share of the bad events where its rate is rho times the old side's.
func nullShare(nc, ns, rho float64) float64 {
	if nc <= 0 {
		return 0
	}
	return rho * nc / (rho*nc + ns)
}

// nullMean is nullShare, raised a little where rho > 1: the mean of the fraction x/m exceeds the fraction of the means
// when bad events are not rare. TestKernelIsAnEVariable enumerates that this is enough.
func nullMean(nc, ns, rho float64) float64 {
	q := nullShare(nc, ns, rho)
	if rho > 1 && nc+ns > 0 {
		q = min(1, q*(1+2*(1-q)*(rho-1)/(nc+ns)))
	}
	return q
}
