package metrics

import "math"

// onset is when the failing of a step without a holdback began. Nobody is left to compare with there, so that an outage
// of everybody looks like harm; but what the step's own write breaks is broken from its first interval on, and an outage
// begins at any time. docs/design/judge.md has the measurements behind the numbers.
type onset struct {
	// Before is the last interval before the step, both sides, Held its old side; First the step's first one, Stale the
	// old side's requests in it, Rest all later ones that no incident struck.
	Before half    `json:"b"`
	Held   float64 `json:"h,omitempty"`
	First  half    `json:"f"`
	Stale  float64 `json:"o,omitempty"`
	Rest   half    `json:"r"`
	// Calm counts the intervals from the step's first one on in which nothing failed grossly.
	Calm int `json:"c,omitempty"`
	// Unchanged tells that the step wrote nothing: all requests were under the policy before, so that nothing can have
	// begun with it. Late tells that an incident struck that did not begin with the step either.
	Unchanged bool `json:"u,omitempty"`
	Late      bool `json:"l,omitempty"`
}

const (
	// onsetAtOnce is a failing share of the first interval that needs no second one to be believed.
	onsetAtOnce = 0.5
	// onsetShare is the least failing share of the first interval, as a part of the later ones' share.
	onsetShare = 0.75
	// onsetLeast is the same as a part of GrossErrors, onsetBefore what the interval before may not have reached.
	onsetLeast  = 0.5
	onsetBefore = 0.2
	// onsetCalm is how many intervals without gross failing make what fails later an incident that is waited for. What a
	// write breaks may show in the second one only, where requests fail by a timeout.
	onsetCalm = 2
)

// add takes an interval in that no incident struck: c of the new side, stale requests of the old one, which may not be
// there any more. gross is the share from which an interval is not calm.
func (o onset) add(c half, stale, gross float64) onset {
	whole := o.First.N == 0
	if calm := c.share() < gross; calm && (whole || o.Calm > 0) && o.Calm < onsetCalm {
		o.Calm++
	} else if !calm && o.Calm < onsetCalm {
		o.Calm = -1
	}
	if whole {
		o.First, o.Stale = half{N: c.N, X: c.X}, stale
		return o
	}
	o.Rest = o.Rest.with(c)
	return o
}

// strikes tells whether an interval in which so many fail is of an incident that did not begin with the step: one that
// was there before, or that began when the step had been calm for a while.
func (o onset) strikes(c half, gross, least float64) bool {
	return c.share() >= least && (o.Late || o.Unchanged || o.Before.share() >= onsetLeast*gross || o.Calm >= onsetCalm)
}

// fresh is the part of the first interval's new requests that came under the step. A source that is scraped counts some
// of the time before into it, half of it on average: there the old side still has requests, in proportion to that time.
func (o onset) fresh() float64 {
	if o.Stale <= 0 || o.Held <= 0 || o.First.N <= 0 {
		return 1
	}
	before := min(1, o.Stale/o.Held) // as a part of an interval
	return max(0, 1-before*(o.Before.N-o.Held)/o.First.N)
}

// sum is all of the step that no incident struck; nothing before the step was judged first.
func (o *onset) sum() half {
	if o == nil {
		return half{}
	}
	return o.First.with(o.Rest)
}

// unsure tells that one interval is not enough to say whether the failing began with the step.
func (o onset) unsure() bool {
	return !o.Unchanged && !o.Late && o.Rest.N == 0 && o.First.share() < onsetAtOnce
}

// withStep tells that at least gross of the requests fail, and that they do so since the step began. Both comparisons
// allow for one deviation, as few errors vary.
func (o onset) withStep(gross float64) bool {
	well := o.Before.X-math.Sqrt(o.Before.X) < onsetBefore*gross*o.Before.N || o.Before.N == 0
	least := onsetShare * o.fresh() * o.Rest.share() * o.First.N
	return !o.Unchanged && !o.Late && o.First.with(o.Rest).share() >= gross && well &&
		o.First.share() >= onsetLeast*gross && o.First.X+math.Sqrt(o.First.X) >= least
}

func (h half) share() float64 {
	if h.N <= 0 {
		return 0
	}
	return min(1, h.X/h.N)
}
