package metrics

import "math"

// part is one metric's share of the rollout's score. shared tells that the old side is as bad, so it blames nobody.
type part struct {
	name                   string
	weight, score, without float64
	shared                 bool
}

// errorScore is the smaller half: a Fail must refute both "not worse than the old side" and "below the floor".
func (l look) errorScore() float64 { return min(l.s.Errors.value(), l.s.Floor.value()) }

// parts are the metrics that the score is made of; their weighted mean is an e-process, whatever their dependence
// (ANALYSIS.md section 7). In the bake errors blame the new side only where the holdback agrees (JUDGE.md section 2).
func (l look) parts() []part {
	objection := l.step.Kind == StepBake && !l.step.bare() && l.s.Veto != nil && l.s.Veto.value() < l.limit()
	w := l.s.Weights
	if w.Errors == 0 {
		w.Errors = 1 // nothing is scored yet
	}
	out := []part{{name: "errors", weight: w.Errors, score: l.errorScore(), without: l.s.Errors.without(l.s.K), shared: objection}}
	if w.Latency > 0 {
		score, without := l.latency(false)
		out = append(out, part{name: "latency", weight: w.Latency, score: score, without: without})
	}
	var objectives []part
	for _, o := range []struct {
		name string
		b    *burning
	}{{"success", l.s.Success}, {"slow", l.s.Slow}} {
		if o.b == nil {
			continue
		}
		p := part{name: o.name, score: o.b.Worse.value(), without: o.b.Worse.without(l.s.K), shared: o.b.shared() && !l.c.RollbackOnShared}
		if l.chronic(o.name) && !l.c.RollbackOnShared {
			p.score, p.shared = 0, true
		}
		objectives = append(objectives, p)
	}
	for _, p := range objectives {
		p.weight = w.Objective / float64(len(objectives))
		out = append(out, p)
	}
	return out
}

// total is the rollout's score.
func (l look) total() float64 {
	sum := 0.0
	for _, p := range l.parts() {
		sum += p.weight * p.score
	}
	return sum
}

// telling is the part that adds most to the score.
func (l look) telling() part {
	var best part
	for _, p := range l.parts() {
		if p.weight*p.score > best.weight*best.score {
			best = p
		}
	}
	return best
}

// details are the parts in full.
func (l look) details() []Part {
	var out []Part
	for _, p := range l.parts() {
		c := Part{Name: p.name, Weight: p.weight, Score: round3(p.score), Shared: p.shared}
		if !math.IsInf(p.without, 1) {
			c.Without = round3(p.without)
		}
		switch p.name {
		case "errors":
			c.New, c.Old = BadOf{l.fresh.New.Errors, l.fresh.New.Requests}, BadOf{l.fresh.Old.Errors, l.fresh.Old.Requests}
			c.Bound = finite(l.s.Bound.shown(l.c.PassConfidence))
		case "latency":
			if b := l.worst(false); b != nil {
				c.New, c.Old, c.Above = badOf(b.New), badOf(b.Old), b.Bound
			}
			c.Bound = finite(slowShown(l.s.Latency, l.c.PassConfidence))
		case "success":
			c.New, c.Old = badOf(l.s.Success.New), badOf(l.s.Success.Stable)
		case "slow":
			c.New, c.Old, c.Above = badOf(l.s.Slow.New), badOf(l.s.Slow.Stable), l.c.LatencyObjective.Bound
		}
		out = append(out, c)
	}
	if l.s.Veto != nil {
		out = append(out, Part{Name: "holdback", New: BadOf{l.fresh.New.Errors, l.fresh.New.Requests},
			Old: BadOf{l.fresh.Old.Errors, l.fresh.Old.Requests}, Score: round3(l.s.Veto.value())})
	}
	return out
}

func badOf(h half) BadOf { return BadOf{Bad: h.X, Of: h.N} }

func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return 0
	}
	return v
}

// worst is the latency bound with the highest score.
func (l look) worst(back bool) *slower {
	var best *slower
	score := func(b *slower) float64 {
		if !back {
			return b.Score.value()
		}
		if b.Back == nil {
			return 0
		}
		return b.Back.value()
	}
	for i := range l.s.Latency {
		if b := &l.s.Latency[i]; best == nil || score(b) > score(best) {
			best = b
		}
	}
	return best
}
