package metrics

// onset is when the failing of a step without a holdback began. Nobody is left to compare with there, so that an outage
// of everybody looks like harm; but what the step's own write breaks is broken from its first interval on, and an outage
// begins at any time. docs/design/judge.md has the measurements behind the numbers.
type onset struct {
	// Before is the last interval before the step, both sides; First the step's first one, Rest all later ones.
	Before half `json:"b"`
	First  half `json:"f"`
	Rest   half `json:"r"`
	// Unchanged tells that the step wrote nothing: all requests were under the policy before, so that nothing can have
	// begun with it.
	Unchanged bool `json:"u,omitempty"`
}

const (
	// onsetAtOnce is a failing share of the first interval that needs no second one to be believed.
	onsetAtOnce = 0.5
	// onsetShare is the least failing share of the first interval, as a part of the later ones' share. A source that is
	// scraped counts some of the time before the step into the first interval, half of it on average.
	onsetShare = 0.4
	// onsetLeast is the same as a part of GrossErrors, and what the interval before may not have reached.
	onsetLeast = 0.5
)

func (o onset) add(c half) onset {
	if o.First.N == 0 {
		o.First = half{N: c.N, X: c.X}
		return o
	}
	o.Rest = o.Rest.with(c)
	return o
}

// unsure tells that one interval is not enough to say whether the failing began with the step.
func (o onset) unsure() bool { return !o.Unchanged && o.Rest.N == 0 && o.First.share() < onsetAtOnce }

// withStep tells that at least gross of the requests fail, and that they do so since the step began.
func (o onset) withStep(gross float64) bool {
	first := o.First.share()
	return !o.Unchanged && o.First.with(o.Rest).share() >= gross && o.Before.share() < onsetLeast*gross &&
		first >= onsetLeast*gross && first >= onsetShare*o.Rest.share()
}

func (h half) share() float64 {
	if h.N <= 0 {
		return 0
	}
	return min(1, h.X/h.N)
}
