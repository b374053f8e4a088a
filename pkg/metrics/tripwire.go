package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Tripwire finds gross breakage on readings of a second or two, with an α of its own beside the judge's (JUDGE.md
// section 5, version 2). Its observation is small where anything but the rollout could be behind it: successes that are
// missing beyond their own noise cannot be made by retries or bursts of extra errors, "every group of pods" not by one
// sick pod, "the old side is healthy" not by an outage. By request it holds α; by instance successes of different pods
// cannot be compared, α does not hold, and a trip only pauses. It is a value; its state is plain data.
type Tripwire struct {
	Config TripwireConfig
}

// TripwireConfig holds the numbers of a tripwire. DefaultTripwireConfig gives JUDGE.md's.
type TripwireConfig struct {
	// Alpha is the chance of tripping in a harmless rollout.
	Alpha float64
	// P0 is the tolerated share of failing requests, G the multiplier of the odds that is bet on.
	P0, G float64
	// RequestGroups and InstanceGroups are the most groups that pods are dealt into.
	RequestGroups, InstanceGroups int
	// MinPerGroup is the new side's requests that every group must have; MinGood the successes to be expected, by request.
	MinPerGroup, MinGood float64
	// GiveUp is the age in seconds at which an observation that is still too small is thrown away.
	GiveUp float64
	// SickStable is the failing share of the old side above which an observation does not count.
	SickStable float64
	// MaxShare is the share above which it is silent; MinPods the pods of the new side below which it is, by instance.
	MaxShare float64
	MinPods  int
	// AllowRefused is the share of requests that the policy may refuse by design.
	AllowRefused float64
	// Steps and PlannedSeconds spread the weight of "the harm begins now".
	Steps          int
	PlannedSeconds float64
}

// DefaultTripwireConfig gives the defaults of JUDGE.md section 3 for a service with an error rate of base.
func DefaultTripwireConfig(base float64) TripwireConfig {
	return TripwireConfig{Alpha: 0.001, G: 100, RequestGroups: 2, InstanceGroups: 4, MinPerGroup: 3,
		MinGood: 16, GiveUp: 10, SickStable: 0.05, MaxShare: 0.5, MinPods: 4, Steps: 6, PlannedSeconds: 3600}.WithBase(base)
}

// WithBase tolerates twice the error rate of the old side, and 2 % at the least.
func (c TripwireConfig) WithBase(base float64) TripwireConfig {
	c.P0 = min(0.5, max(0.02, 2*base))
	return c
}

// Watches tells whether the tripwire can say anything at a step that exposes a share of the requests or of the
// instances: identical halves are no harm, and where more is new than old too little is left to compare with.
func (c TripwireConfig) Watches(kind StepKind, share float64) bool {
	return (kind == StepWatch || kind == StepProof) && share > 0 && share <= c.MaxShare
}

// TripState is a tripwire's state, some hundred bytes of JSON.
type TripState struct {
	// Score is A + Rem, the weights of start times that have and have not come. Begun counts the steps begun.
	A     float64 `json:"a"`
	Rem   float64 `json:"r"`
	Begun int     `json:"n,omitempty"`
	Step  int     `json:"step"`
	// Pods are the step's pods in the order in which they were dealt into Groups.
	Pods   []uint16 `json:"pods,omitempty"`
	Groups int      `json:"k,omitempty"`
	// Open is the observation under way: per group new requests and errors, old requests and errors. Age is in seconds.
	Open     [][4]float64 `json:"open,omitempty"`
	Age      float64      `json:"age,omitempty"`
	Refusals refusals     `json:"refusals,omitzero"`
}

// Trip is what a tripwire says.
type Trip struct {
	// Tripped tells that most of the new side's requests fail. Pause tells that a person should look; otherwise the policy
	// is to be taken back.
	Tripped bool `json:"tripped"`
	Pause   bool `json:"pause,omitempty"`
	// Score trips at 1/α. Silent says why nothing can be said.
	Score  float64 `json:"score"`
	Silent string  `json:"silent,omitempty"`
	// New and Old are the failed requests among all of the observation that was added last.
	New BadOf `json:"new"`
	Old BadOf `json:"old"`
	// Reason is one line a person understands.
	Reason string `json:"reason,omitempty"`
}

// Step takes one reading in: increments per pod since the last reading. The zero TripState begins a rollout.
func (w Tripwire) Step(s TripState, step JudgeStep, tick Tick) (TripState, Trip) {
	seconds := tick.To.Sub(tick.From).Seconds()
	if !w.sound(s) {
		s = TripState{}
	}
	if s.Begun == 0 {
		s.A, s.Rem = 0, 1
	}
	if reason := w.silence(step, tick); reason != "" {
		s.Open, s.Age = nil, 0
		return s, w.said(s, step, [4]float64{}, reason)
	}
	s, first := s.enter(step)
	s = w.start(s, first, seconds)
	kept := 1.0
	if a := w.Config.AllowRefused; a > 0 {
		c := tick.Total(New)
		if first {
			s.Refusals = s.Refusals.widen(a, c.Requests*bucketWindow/max(1, seconds))
		}
		s.Refusals, kept = s.Refusals.take(a, c.Refused, c.Requests)
	}
	s = w.gather(s, step, tick, kept)
	s.Age += seconds
	y, sum, full := w.observation(s, step)
	switch {
	case full && sum[2] > 0 && sum[3] <= w.Config.SickStable*sum[2]:
		s.A = min(scoreCap, s.A*(1+(w.Config.G-1)*y)/(1+(w.Config.G-1)*w.Config.P0))
		s.Open, s.Age = nil, 0
	case full || s.Age >= w.Config.GiveUp:
		s.Open, s.Age = nil, 0
	}
	return s, w.said(s, step, sum, "")
}

// sound tells that a state read from somewhere can be one that Step has returned. Another one begins anew: it has no score
// to lose, and must not trip by what somebody wrote into it.
func (w Tripwire) sound(s TripState) bool {
	ok := func(v, most float64) bool { return v >= 0 && v <= most } // NaN is not
	for _, group := range s.Open {
		for _, v := range group {
			if !ok(v, mostOpen) {
				return false
			}
		}
	}
	groups := max(1, w.Config.RequestGroups, w.Config.InstanceGroups)
	return ok(s.A, scoreCap) && ok(max(0, s.Rem), 1) && s.Begun >= 0 && s.Groups >= 0 && s.Groups <= groups && len(s.Open) <= groups && s.Age >= 0
}

// mostOpen is more than an observation of seconds can hold.
const mostOpen = 1e9

// enter begins a step: pods are dealt anew. By instance it is a new cohort, but the score goes on.
func (s TripState) enter(step JudgeStep) (TripState, bool) {
	if s.Begun > 0 && s.Step == step.Index {
		return s, false
	}
	s.Begun, s.Step = s.Begun+1, step.Index
	s.Pods, s.Groups, s.Open, s.Age = nil, 0, nil, 0
	return s, true
}

// start gives the weights 0.5 for the first reading, 0.3 over the later step starts, 0.2 over the planned time.
func (w Tripwire) start(s TripState, first bool, seconds float64) TripState {
	v := 0.2 * seconds / max(1, w.Config.PlannedSeconds)
	switch {
	case first && s.Begun == 1:
		v = 0.5
	case first:
		v = 0.3 / float64(max(1, w.Config.Steps))
	}
	v = min(v, s.Rem)
	s.Rem, s.A = s.Rem-v, s.A+v
	return s
}

// silence says why a reading cannot count.
func (w Tripwire) silence(step JudgeStep, tick Tick) string {
	pods := 0
	for _, sides := range tick.Pods {
		if _, ok := sides[New]; ok {
			pods++
		}
	}
	switch {
	case tick.Fault != "":
		return tick.Fault
	case step.Kind == StepStage || step.bare() || step.Share > w.Config.MaxShare:
		return fmt.Sprintf("more than %s of the requests are new", percent(w.Config.MaxShare))
	case step.ByInstance && pods < w.Config.MinPods:
		return fmt.Sprintf("%d pods are new, %d are needed", pods, w.Config.MinPods)
	case !step.ByInstance && step.Share <= 0:
		return "the share is not known"
	default:
		return ""
	}
}

// gather adds a reading to the open observation; kept is the factor on refused requests.
func (w Tripwire) gather(s TripState, step JudgeStep, tick Tick, kept float64) TripState {
	names := slices.Sorted(maps.Keys(tick.Pods))
	s.Pods = slices.Clone(s.Pods)
	for _, pod := range names {
		if _, isNew := tick.Pods[pod][New]; isNew || !step.ByInstance {
			s.Pods = dealOne(s.Pods, podHash(pod))
		}
	}
	if s.Groups == 0 {
		most := w.Config.RequestGroups
		if step.ByInstance {
			most = w.Config.InstanceGroups
		}
		s.Groups = min(most, len(s.Pods))
	}
	open := make([][4]float64, max(1, s.Groups))
	copy(open, s.Open)
	for _, pod := range names {
		hash := podHash(pod)
		place := slices.Index(s.Pods, hash)
		if place < 0 {
			place = int(hash)
		}
		o, c, old := &open[place%len(open)], tick.Pods[pod][New], tick.Pods[pod][Old]
		o[0], o[1] = o[0]+c.Requests, o[1]+c.Errors-c.Refused*(1-kept)
		o[2], o[3] = o[2]+old.Requests, o[3]+old.Errors
	}
	s.Open = open
	return s
}

// observation is y of the open observation, its sums, and whether it is full:
//
//	W = s/(1−s)·(old successes)                                the successes to be expected of the new side
//	y = min( least group's X/N ,  1 − (new successes + 2·√W)/W )⁺     by instance only the first part
func (w Tripwire) observation(s TripState, step JudgeStep) (y float64, sum [4]float64, full bool) {
	y, full = 1, len(s.Open) > 0
	for _, o := range s.Open {
		for i := range sum {
			sum[i] += o[i]
		}
		if o[0] < w.Config.MinPerGroup {
			full = false
			continue
		}
		y = min(y, o[1]/o[0])
	}
	if !step.ByInstance {
		good := step.Share / (1 - step.Share) * (sum[2] - sum[3])
		if good < w.Config.MinGood {
			return 0, sum, false
		}
		y = min(y, 1-(sum[0]-sum[1]+2*math.Sqrt(good))/good)
	}
	return max(0, min(1, y)), sum, full
}

func (w Tripwire) said(s TripState, step JudgeStep, sum [4]float64, silent string) Trip {
	t := Trip{Score: round3(s.A + s.Rem), Silent: silent, Pause: step.ByInstance,
		New: BadOf{Bad: sum[1], Of: sum[0]}, Old: BadOf{Bad: sum[3], Of: sum[2]}}
	if t.Tripped = s.A+s.Rem >= 1/w.Config.Alpha; t.Tripped {
		t.Reason = "gross breakage: " + compare("errors", half{N: sum[0], X: sum[1]}, half{N: sum[2], X: sum[3]}, "") + " in the last observation"
	}
	return t
}
