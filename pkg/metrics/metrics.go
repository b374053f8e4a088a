// Package metrics says what to measure and how to judge it. It is pure: no clock, no client, no printing.
package metrics

import (
	"context"
	"encoding/json"
	"time"
)

// Side is one of the two populations of a rollout.
type Side string

// The sides. New is under the new policy (the canary), Old under the old one (stable), in the same seconds.
const (
	New Side = "new"
	Old Side = "old"
)

// Query asks a source for raw counters of one rollout's populations. A mesh builds it, a Provider answers it.
type Query struct {
	// Selector is a Prometheus selector without its range: {__name__=~"…",…}.
	Selector string
	// Rules turn a series of the answer into a side and a class. The first rule that matches counts.
	Rules []SeriesRule
	// Instances gives the side of a series by its pod ("namespace/pod") where the populations are whole pods; nil
	// where the series' own name says it.
	Instances map[string]Side
	// Callers are pods ("namespace/pod") that are known to count much of it, busiest first. A source that asks the pods
	// themselves may ask these alone; empty: it finds out.
	Callers []string
	// FromZero tells that every series of the answer was born with the rollout (a statPrefix with its revision), so that
	// one that was never seen began at 0, whatever is known of its pod.
	FromZero bool
	// Codes says which responses are bad and which of them the policy itself refused; zero means DefaultCodes.
	Codes CodeRules
	// Blind is why the answer cannot be judged, such as counters that do not tell failures: the verdict is NoData.
	Blind string
}

// SeriesRule classifies series by a part of their name.
type SeriesRule struct {
	// NameContains must be in the metric name; Label and Value must match where Label is set (Value "" = absent).
	NameContains string
	Side         Side
	Class        Class
	Label, Value string
}

// Class is what a counter counts.
type Class string

// The classes. Requests by code carry the code in the label named by CodeLabel.
const (
	ClassCode     Class = "code"     // finished requests by response code
	ClassDuration Class = "duration" // duration histogram, milliseconds
	ClassAttempt  Class = "attempt"  // requests sent to the servers, retries too
)

// CodeLabel is the label of ClassCode series.
const CodeLabel = "response_code"

// Sample is one stored value of a series with its own scrape time. Native is set instead of Value where the series is a
// native histogram.
type Sample struct {
	At     time.Time
	Value  float64
	Native *Exponential
}

// Series is one raw counter with the samples in the asked range, oldest first.
type Series struct {
	// Labels are Envoy's own labels and __name__; labels that the scrape configuration maps onto targets are removed
	// (their change must not make a counter look new). Pod is "namespace/pod".
	Labels  map[string]string
	Pod     string
	Samples []Sample
}

// Provider reads raw samples. It is implemented by pkg/metrics/prometheus.
type Provider interface {
	// Read returns every series of the query with its samples of the window before now.
	Read(ctx context.Context, q Query, now time.Time, window time.Duration) ([]Series, error)
}

// Asker answers a query of the user's own with one number.
type Asker interface {
	// Ask returns the value at a time; an error where the answer is not one number.
	Ask(ctx context.Context, query string, now time.Time) (float64, error)
}

// Live is a Provider that knows nothing from before it was opened, as one does that asks the proxies: a run that goes on
// after another one lost the interval between the two.
type Live interface {
	Live() bool
}

// Sampler is a Provider that asks a part of the pods where the answer of all of them is too large.
type Sampler interface {
	// Sampled is 0 while all pods are asked, and another number for each smaller part of them.
	Sampled() int
}

// Counts are requests of one side in one interval.
type Counts struct {
	// Requests is every finished request, Errors the bad ones, Refused those the policy itself refused (in Errors too).
	Requests float64 `json:"requests"`
	Errors   float64 `json:"errors"`
	Refused  float64 `json:"refused,omitempty"`
	// Attempts are the requests that the servers got for them, retries too; 0 where they are not counted.
	Attempts float64 `json:"attempts,omitempty"`
	// Codes counts by response code.
	Codes map[string]float64 `json:"codes,omitempty"`
	// Slow counts requests above each bucket bound in milliseconds; the histogram's own count is Timed.
	Slow  map[float64]float64 `json:"-"`
	Timed float64             `json:"timed,omitempty"`
}

// Tick is what one interval showed: both sides, by pod.
type Tick struct {
	From, To time.Time
	// Pods maps a pod to its two sides in this interval. By instance a pod has one side only.
	Pods map[string]map[Side]Counts
	// Newest is the time of the newest sample; zero where there was none.
	Newest time.Time
	// Series counts the classified series of each side, those without a request in the interval too.
	Series map[Side]int
	// Lost is how much of the interval's beginning is counted for nobody.
	Lost time.Duration
	// Sampled is what the source's Sampler says: pods that were not asked are not silent.
	Sampled int
	// Problems are data errors (a NaN, a negative counter) in words; the samples were ignored.
	Problems []string
	// Readings are what the user's own checks gave, in their order; none where there are no checks.
	Readings []Reading
	// Fault is what the source said when it could not be read; the rest is empty then.
	Fault string
	// Unusable is why the numbers cannot be judged though they were read, such as a histogram that is classic and native.
	Unusable string
}

// Total sums a side over all pods.
func (t Tick) Total(side Side) Counts {
	var sum Counts
	for _, sides := range t.Pods {
		sum.take(sides[side])
	}
	return sum
}

// Plus adds two counts into a new one.
func (c Counts) Plus(d Counts) Counts {
	var sum Counts
	sum.take(c)
	sum.take(d)
	return sum
}

// take adds into maps that are c's own.
func (c *Counts) take(d Counts) {
	c.Requests, c.Errors, c.Refused, c.Timed = c.Requests+d.Requests, c.Errors+d.Errors, c.Refused+d.Refused, c.Timed+d.Timed
	c.Attempts += d.Attempts
	if len(d.Codes) > 0 && c.Codes == nil {
		c.Codes = make(map[string]float64, len(d.Codes))
	}
	for k, v := range d.Codes {
		c.Codes[k] += v
	}
	if len(d.Slow) > 0 && c.Slow == nil {
		c.Slow = make(map[float64]float64, len(d.Slow))
	}
	for k, v := range d.Slow {
		c.Slow[k] += v
	}
}

// Verdict is what a judge says of a step.
type Verdict string

// The verdicts. Wait is no verdict yet; only Pass advances.
const (
	Wait         Verdict = "Wait"
	Pass         Verdict = "Pass"
	Fail         Verdict = "Fail"
	Inconclusive Verdict = "Inconclusive"
	NoData       Verdict = "NoData"
	Error        Verdict = "Error"
)

// StepKind is what a judge does at a step (JUDGE.md §2).
type StepKind string

// The kinds of steps.
const (
	StepStage StepKind = "stage" // identical halves: plumbing, share, gross bias; a Fail becomes Inconclusive
	StepWatch StepKind = "watch" // time, data, no sign of harm
	StepProof StepKind = "proof" // must show a bound
	StepBake  StepKind = "bake"  // 95 %, holdback of 5 %
	StepFold  StepKind = "fold"  // no split left: before/after
	StepClean StepKind = "clean" // takes the counting away; not judged
)

// JudgeStep is what a judge must know of the step it judges.
type JudgeStep struct {
	Index       int
	Kind        StepKind
	ByInstance  bool
	Share       float64 // the share of requests that should be on the new side; 0 where unknown
	Min, Max    time.Duration
	MinRequests float64
	Started     time.Time
	// Resumes is how often in this rollout a person has said "go on" after the judge's word had stopped it.
	Resumes int
}

// bare tells that nobody is left under the old policy to compare with.
func (s JudgeStep) bare() bool { return s.Kind == StepFold || s.Kind == StepBake && s.Share >= 1 }

// Judgement is a verdict with everything it rests on.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	// Reason is one line a person understands.
	Reason string `json:"reason"`
	// New and Old are the counts of the step so far.
	New Counts `json:"new"`
	Old Counts `json:"old"`
	// Elapsed is the time since the step started, in seconds.
	Elapsed float64 `json:"elapsedSeconds"`
	// Share is the share of requests really seen on the new side; 0 where there is none.
	Share float64 `json:"share"`
	// Score is the evidence of harm, 1 being none; a Fail needs about 110. Bound is the multiple of the old side's error
	// rate that the new one was shown to stay below, 0 where nothing was shown.
	Score float64 `json:"score,omitempty"`
	Bound float64 `json:"bound,omitempty"`
	// SlowBound is the same for latency: so many times as slow as the old side at the most.
	SlowBound float64 `json:"slowBound,omitempty"`
	// Ratio is the new error rate over the old one, AtLeast what it surely exceeds (99 %); 0 where nothing can be said.
	Ratio   float64 `json:"ratio,omitempty"`
	AtLeast float64 `json:"atLeast,omitempty"`
	// Pause tells that a Fail rests on a comparison with the past alone: a person should look, nothing is taken back.
	Pause bool `json:"pause,omitempty"`
	// Findings are things a person should know that are no verdict.
	Findings []string `json:"findings,omitempty"`
	// Parts are the metrics that the score is made of.
	Parts []Part `json:"parts,omitempty"`
	// Checks are the user's own, with the query that was sent and its value.
	Checks []CheckResult `json:"checks,omitempty"`
}

// Part is one metric's part of a judgement.
type Part struct {
	// Name is errors, latency, success (the objective), slow (the latency objective) or holdback.
	Name string `json:"name"`
	// Requests and Bad ones of either side in the step; of an objective since scoring began.
	New    BadOf   `json:"new"`
	Old    BadOf   `json:"old"`
	Weight float64 `json:"weight"`
	// Score is the evidence of harm; Without what is left of it without its most telling pods, 0 where there are none to
	// leave out; Bound what was shown not to be exceeded, 0 where nothing was.
	Score   float64 `json:"score"`
	Without float64 `json:"without,omitempty"`
	Bound   float64 `json:"bound,omitempty"`
	// Above is the latency bound in milliseconds that tells most.
	Above float64 `json:"aboveMilliseconds,omitempty"`
	// Shared tells that the old side is as bad, so that this metric blames nobody.
	Shared bool `json:"shared,omitempty"`
}

// BadOf counts bad requests among all.
type BadOf struct {
	Bad float64 `json:"bad"`
	Of  float64 `json:"of"`
}

// Brief is the judgement without its parts, for a record that must stay small.
func (j Judgement) Brief() Judgement {
	j.Parts = nil
	return j
}

// Judge decides from ticks. It is a value: Step returns the next state and never edits the old one, so that a state
// saved at a tick gives the same verdicts after a restart.
type Judge interface {
	// Step takes one tick of the step into the score and says what it thinks now.
	Step(state State, step JudgeStep, tick Tick, now time.Time) (State, Judgement)
}

// State is a judge's score as plain data, at most some KiB of JSON; its meaning is the judge's own.
type State struct {
	// Version names the judge and its format.
	Version string `json:"version,omitempty"`
	// Step is the index of the step that Sums belong to.
	Step int `json:"step"`
	// New and Old are the sums of the step.
	New Counts `json:"new"`
	Old Counts `json:"old"`
	// Scores are the judge's own numbers.
	Scores []float64 `json:"scores,omitempty"`
	// Ticks counts the ticks of the step.
	Ticks int `json:"ticks,omitempty"`
	// Resumes are those of the step that were heeded.
	Resumes int `json:"resumes,omitempty"`
	// Checks are the user's own.
	Checks []CheckState `json:"checks,omitempty"`
	// Detail is what else a judge must remember, in its own form.
	Detail json.RawMessage `json:"detail,omitempty"`
}
