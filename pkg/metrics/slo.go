package metrics

// burning is the score of an absolute objective with its burn rate (ANALYSIS.md section 6): y = X/N per stratum, with
// p0 = B·(1 − target). Worse is against "the new side burns at most B = 14.4", which spends 2 % of a 30-day budget in an
// hour; Hold is against B = 1. Old and OldHold are the same of the old side: where it burns too, the incident is not the
// rollout's.
type burning struct {
	Worse   evidence `json:"e"`
	Hold    mixture  `json:"h"`
	Old     mixture  `json:"o"`
	OldHold mixture  `json:"oh"`
	New     half     `json:"c"`
	Stable  half     `json:"s"`
}

func newBurning() *burning {
	return &burning{Worse: newEvidence(), Hold: newMixture(), Old: newMixture(), OldHold: newMixture()}
}

// anew is a new score that still knows what the old side did.
func (b burning) anew() *burning {
	out := newBurning()
	out.Stable = b.Stable
	return out
}

// shareScore is the score from which a smaller claim counts: the old side burns too, or the new one burns at B = 1.
const shareScore = 20

func (b burning) start(v float64, k int) *burning {
	b.Worse, b.Hold = b.Worse.strata(k).start(v), b.Hold.start(v)
	b.Old, b.OldHold = b.Old.start(v), b.OldHold.start(v)
	return &b
}

// once counts a stratum's tick: c and s are bad ones of all, budget is 1 − target. A tick in which the old side burns as
// fast blames nobody: what it would add to the score could never be taken out again when the incident is over. Leaving it
// out for what the old side does keeps the score an e-process.
func (b *burning) once(stratum int, c, s half, budget float64, config JudgeConfig) {
	fail, hold := config.BurnFail, config.BurnHold
	both := s.N > 0 && s.X >= min(0.99, fail*budget)*s.N && !config.RollbackOnShared
	if c.N > 0 && !both {
		y := min(1, c.X/c.N)
		b.Worse = b.Worse.once(stratum, y, min(0.99, fail*budget))
		b.Hold = b.Hold.once(y, min(0.99, hold*budget))
	}
	if c.N > 0 {
		b.New = half{N: b.New.N + c.N, X: b.New.X + c.X}
	}
	if s.N > 0 {
		y := min(1, s.X/s.N)
		b.Old = b.Old.once(y, min(0.99, fail*budget))
		b.OldHold = b.OldHold.once(y, min(0.99, hold*budget))
		b.Stable = half{N: b.Stable.N + s.N, X: b.Stable.X + s.X}
	}
}

// shared tells that the old side burns as fast as would be harm.
func (b *burning) shared() bool { return b.Old.value() >= shareScore }

// chronicLeast is how many requests of the old side say that it burns all the time.
const chronicLeast = 200

// chronic tells that the old policy has burnt an objective as fast as would be harm all along: then it says nothing of the
// new one, and a service that is beyond its objective anyway can still be changed.
func (l look) chronic(name string) bool {
	if name == "slow" {
		o := l.s.Slow.Stable
		return o.N >= chronicLeast && o.X >= min(0.99, l.c.BurnFail*(1-l.c.LatencyObjective.Target))*o.N
	}
	return l.s.chronic(l.c)
}

func (s score) chronic(c JudgeConfig) bool {
	before := s.before(s.clumping(c.Clumping))
	return before.Requests >= chronicLeast && before.Errors >= min(0.99, c.BurnFail*(1-c.SuccessTarget))*before.Requests
}

// holds tells that the new side spends the budget faster than it grows, and the old one does not.
func (b *burning) holds() bool {
	return b.Hold.value() >= shareScore && b.OldHold.value() < shareScore
}

// LatencyObjective promises that a share of the requests takes at most so long.
type LatencyObjective struct {
	// Bound is in milliseconds; the smallest bucket bound that is not below it is used, so nothing fast counts as slow.
	Bound float64
	// Target is the share of requests that must be faster, 0 to 1; 0 is no objective.
	Target float64
}

// slow counts the requests above the objective's bound; ok is false where no bucket reaches it.
func (o LatencyObjective) slow(c Counts) (float64, bool) {
	best, n, found := 0.0, 0.0, false
	for bound, slow := range c.Slow {
		if bound >= o.Bound && (!found || bound < best) {
			best, n, found = bound, slow, true
		}
	}
	return n, found
}
