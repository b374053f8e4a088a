package metrics

import (
	"encoding/json"
	"math"
	"testing"
)

func pmf(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// eachNull calls f for pairs of independent binomials whose ratio of rates is at most rho.
func eachNull(rhos []float64, f func(nc, ns int, pc, ps, rho float64)) {
	for _, nc := range []int{1, 3, 7, 30} {
		for _, ns := range []int{3, 10, 40, 120} {
			for _, ps := range []float64{0.001, 0.01, 0.05, 0.2, 0.45} {
				for _, rho := range rhos {
					for _, rel := range []float64{0.5, 1} {
						if pc := ps * rho * rel; pc < 1 {
							f(nc, ns, pc, ps, rho)
						}
					}
				}
			}
		}
	}
}

// Exact enumeration: one factor of the score has expectation at most 1 when all is fine, whatever the error rate, for
// every multiplier of the mixture (ANALYSIS.md section 3).
func TestKernelIsAnEVariable(t *testing.T) {
	cases, worst := 0, 0.0
	eachNull([]float64{1, 1.1, 1.25, 2}, func(nc, ns int, pc, ps, rho float64) {
		var sums [9]float64
		p0 := nullMean(float64(nc), float64(ns), rho)
		for i := 0; i <= nc; i++ {
			for j := 0; j <= ns; j++ {
				pr := pmf(nc, i, pc) * pmf(ns, j, ps)
				m := mixture{A: [9]float64{1, 1, 1, 1, 1, 1, 1, 1, 1}}
				if i+j > 0 {
					m = m.once(float64(i)/float64(i+j), p0)
				}
				for g := range sums {
					sums[g] += pr * m.A[g]
				}
			}
		}
		for _, s := range sums {
			cases, worst = cases+1, max(worst, s)
		}
	})
	t.Logf("%d cases, largest expectation %.9f", cases, worst)
	if worst > 1+1e-9 {
		t.Fatalf("the kernel is no e-variable: expectation %.9f", worst)
	}
	if cases < 5000 || worst < 0.99 {
		t.Fatalf("%d cases up to %.9f prove nothing: at the edge of the null it is 1", cases, worst)
	}
}

// The floor's factor and the bake's veto (every error counted) likewise.
func TestFloorAndVetoAreEVariables(t *testing.T) {
	var floor, veto float64
	one := mixture{A: [9]float64{1, 1, 1, 1, 1, 1, 1, 1, 1}}
	eachNull([]float64{1.1}, func(nc, ns int, pc, ps, rho float64) {
		var f, v [9]float64
		for i := 0; i <= nc; i++ {
			a := one.once(float64(i)/float64(nc), pc)
			for g := range f {
				f[g] += pmf(nc, i, pc) * a.A[g]
			}
			for j := 0; j <= ns; j++ {
				b := one.each(float64(i), float64(i+j), nullShare(float64(nc), float64(ns), rho), 1)
				for g := range v {
					v[g] += pmf(nc, i, pc) * pmf(ns, j, ps) * b.A[g]
				}
			}
		}
		for g := range f {
			floor, veto = max(floor, f[g]), max(veto, v[g])
		}
	})
	if floor > 1+1e-9 || veto > 1+1e-9 || floor < 0.99 || veto < 0.99 {
		t.Fatalf("expectations %.9f (floor), %.9f (veto)", floor, veto)
	}
}

// The bound's score is an e-process against "at least m times as bad" for independent errors (JUDGE.md section 2).
func TestBoundIsAnEVariable(t *testing.T) {
	worst := 0.0
	for i, m := range margins() {
		eachNull([]float64{1}, func(nc, ns int, _, ps, _ float64) {
			floor := 0.001
			pc := m * max(ps, floor)
			if pc >= 0.999 {
				return
			}
			sum := 0.0
			for x := 0; x <= nc; x++ {
				for y := 0; y <= ns; y++ {
					b := bounds{}.add(float64(x), float64(nc), float64(y), float64(ns), floor, 1)
					sum += pmf(nc, x, pc) * pmf(ns, y, ps) * b.score(i)
				}
			}
			worst = max(worst, sum)
		})
	}
	t.Logf("largest expectation %.6f", worst)
	if worst > 1+1e-9 || worst < 0.9 {
		t.Fatalf("the bound is no e-variable, or nothing was enumerated: %.6f", worst)
	}
}

func TestMixtureStartsNeverSpendMoreThanOne(t *testing.T) {
	m := newMixture()
	for range 50 {
		m = m.start(0.05)
	}
	if v := m.value(); math.Abs(v-1) > 1e-12 || m.Rem < 0 {
		t.Fatalf("value %v, rest %v", v, m.Rem)
	}
}

func TestScoresStayFinite(t *testing.T) {
	e := newEvidence().strata(4).start(1)
	for i := range 100000 {
		e = e.once(i%4, 1, 0.0001)
	}
	if v := e.value(); math.IsInf(v, 0) || math.IsNaN(v) || !e.guarded(4) {
		t.Fatal(v)
	}
}

// The saved form never raises a score, and what is read again is written the same.
func TestPackingNeverRaises(t *testing.T) {
	m := mixture{Rem: 1.0 / 3, A: [9]float64{0, 1, 1e-300, 9.99999e29, 123456.789, 0.05, 1e30, 1.1, 2e-39}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var got mixture
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for i := range m.A {
		if got.A[i] > m.A[i] || m.A[i] > 1e-30 && got.A[i] < m.A[i]*(1-1.0/32768) {
			t.Errorf("%v became %v", m.A[i], got.A[i])
		}
	}
	again, err := json.Marshal(got)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s, then %s (%v)", text, again, err)
	}
}

// One stratum with all of the evidence does not decide; the same evidence from several strata does.
func TestGuardNeedsSeveralStrata(t *testing.T) {
	single, spread := newEvidence().strata(8).start(0.5), newEvidence().strata(8).start(0.5)
	for i := range 8 {
		single, spread = single.once(3, 1, 0.05), spread.once(i, 1, 0.05)
	}
	if single.value() < 1000 || single.guarded(8) {
		t.Errorf("one stratum decided: value %v", single.value())
	}
	if !spread.guarded(8) {
		t.Error("eight strata did not decide")
	}
	if !single.guarded(1) {
		t.Error("with one stratum there is no guard")
	}
}

func BenchmarkEvidence(b *testing.B) {
	e := newEvidence().strata(8).start(0.5)
	for i := range b.N {
		e = e.once(i%8, 0.05, 0.055)
	}
}
