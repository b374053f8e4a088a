package metrics

// ratioConfidence is the confidence of the ratio that a reason prints.
const ratioConfidence = 0.99

// ladder holds one kernel per tolerated ratio of error rates. All have the start weights of the rollout's score, and no
// strata. Each is an e-process against "the new rate is at most that many times the old one", so the largest rung whose
// score has reached 1/0.01 is, whenever one looks, wrong in at most 1 % of rollouts: the rungs' nulls are nested, and
// the first wrong one decides. Read: at some time since the rollout began the ratio was above it.
type ladder [15]mixture

// rungs are the ratios that can be printed.
func rungs() [15]float64 {
	return [15]float64{1.1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100}
}

func newLadder() ladder {
	var l ladder
	for i := range l {
		l[i] = newMixture()
	}
	return l
}

func (l ladder) start(v float64) ladder {
	for i := range l {
		l[i] = l[i].start(v)
	}
	return l
}

// once counts one stratum's tick, as scoreRatio does.
func (l ladder) once(c, s half) ladder {
	m := c.X + s.X
	if m <= 0 || c.N <= 0 || s.N <= 0 {
		return l
	}
	for i, rho := range rungs() {
		l[i] = l[i].once(c.X/m, nullMean(max(c.N, c.X), max(s.N, s.X), rho))
	}
	return l
}

// least is the largest ratio that is surely exceeded; 0 where none is.
func (l ladder) least() float64 {
	all := rungs()
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].value() >= 1/(1-ratioConfidence) {
			return all[i]
		}
	}
	return 0
}
