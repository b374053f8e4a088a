package metrics

import "time"

// SinceExposure tells counters that have not counted yet where the exposure began: at the first interval of a step. A
// runner that goes on inside a step does without.
func (c Counters) SinceExposure(at time.Time) Counters {
	c.cut = at
	return c
}

// lost is how much of the interval's beginning is counted for nobody, since an exposure began in it: until the first
// scrape after that. Usually it is a scrape; it is more where the source did not answer as the step began.
func (w *stepWork) lost() time.Duration {
	var first time.Time
	for _, pod := range w.c.pods {
		if at := pod.afterCut; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	switch {
	case w.c.cut.Before(w.tick.From):
		return 0
	case first.IsZero(), first.After(w.tick.To):
		return w.tick.To.Sub(w.tick.From)
	}
	return max(0, first.Sub(w.tick.From))
}

// observed is the time of the step in which its requests were counted. A scrape or two at its beginning are never missed.
func (l look) observed() time.Duration {
	if blind := time.Duration(l.s.Blind) * time.Millisecond; blind > 2*l.c.Scrape {
		return max(0, l.elapsed-blind)
	}
	return l.elapsed
}
