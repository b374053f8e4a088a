package metrics

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Check is a query of the user's own whose value must stay within limits.
type Check struct {
	// Name names it. Query is what is asked; $rev and $pods in it are put in anew for every tick.
	Name  string `json:"name"`
	Query string `json:"query"`
	// Min and Max are the limits; nil = none.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Failures is how many ticks in a row the value may be beyond a limit until the step fails.
	Failures int `json:"failures"`
}

func (c Check) below(v float64) bool { return c.Min != nil && v < *c.Min }

// Within tells whether a value is within the limits.
func (c Check) Within(v float64) bool { return !c.below(v) && !c.above(v) }

func (c Check) above(v float64) bool { return c.Max != nil && v > *c.Max }

// Reading is what a check's query gave in a tick.
type Reading struct {
	// Query is what was asked. Value is the number; NaN and ±Inf are no data.
	Query string
	Value float64
	// Err says why there is none.
	Err string
	// Skipped tells that the query is of pods of the cohort, and nobody is in it now.
	Skipped bool
}

// CheckState is what is remembered of a check: its ticks in a row beyond the limits, and without data.
type CheckState struct {
	Name    string `json:"name"`
	Failing int    `json:"failing,omitempty"`
	Silent  int    `json:"silent,omitempty"`
}

// CheckResult is a check in a judgement.
type CheckResult struct {
	Name  string `json:"name"`
	Query string `json:"query"`
	// Value is the last one; absent where there is none.
	Value *float64 `json:"value,omitempty"`
	// Text is the value against its limits, or why there is none, in words.
	Text    string  `json:"text"`
	Verdict Verdict `json:"verdict"`
}

// Checked is a judge that also holds checks to their limits. A check has no share in the inner judge's error budget: its
// limits are the user's own word. It fails after Failures ticks in a row, holds a step back while its value is beyond a
// limit or missing, and is NoData where the source has been without an answer for SilentTicks.
type Checked struct {
	Judge
	Checks []Check
}

var _ Judge = Checked{}

// SilentTicks is how many ticks in a row a check may be without a value until that is the verdict.
const SilentTicks = 4

// Step implements Judge. Readings of the tick are taken by the order of Checks; a tick without any is not a tick of the
// checks.
func (c Checked) Step(state State, step JudgeStep, tick Tick, now time.Time) (State, Judgement) {
	before := state.Checks
	if step.Resumes > state.Resumes {
		before = nil // a person has seen what is beyond a limit, and goes on: it is counted anew
	}
	next, j := c.Judge.Step(state, step, tick, now)
	next.Checks, next.Resumes = before, step.Resumes
	if len(c.Checks) == 0 || len(tick.Readings) != len(c.Checks) {
		return next, j
	}
	next.Checks = nil
	for i, check := range c.Checks {
		s := CheckState{Name: check.Name}
		for _, b := range before {
			if b.Name == check.Name {
				s = b
			}
		}
		var r CheckResult
		s, r = check.take(s, tick.Readings[i])
		next.Checks, j.Checks = append(next.Checks, s), append(j.Checks, r)
	}
	return next, c.together(j)
}

// take counts a reading.
func (c Check) take(s CheckState, r Reading) (CheckState, CheckResult) {
	out := CheckResult{Name: c.Name, Query: cmp.Or(r.Query, c.Query), Verdict: Pass}
	switch {
	case r.Skipped:
		out.Text = "is not asked: nobody is in the cohort"
		return s, out
	case r.Err != "" || math.IsNaN(r.Value) || math.IsInf(r.Value, 0):
		s.Silent++
		out.Verdict, out.Text = Wait, "has no value: "+cmp.Or(r.Err, "the query gave "+strconv.FormatFloat(r.Value, 'g', -1, 64))
		if s.Silent >= SilentTicks {
			out.Verdict = NoData
		}
		return s, out
	case c.below(r.Value), c.above(r.Value):
		s.Failing, s.Silent = s.Failing+1, 0
		out.Verdict = Wait
		if s.Failing >= max(1, c.Failures) {
			out.Verdict = Fail
		}
	default:
		s.Failing, s.Silent = 0, 0
	}
	out.Value, out.Text = &r.Value, c.text(r.Value)
	if s.Failing > 1 {
		out.Text += fmt.Sprintf(", %d times in a row", s.Failing)
	}
	return s, out
}

// text is "is 0.31, above 0.3" or "is 0.2, within 0 to 0.3".
func (c Check) text(v float64) string {
	short := func(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }
	switch {
	case c.below(v):
		return "is " + short(v) + ", below " + short(*c.Min)
	case c.above(v):
		return "is " + short(v) + ", above " + short(*c.Max)
	case c.Min == nil && c.Max == nil:
		return "is " + short(v)
	case c.Min == nil:
		return "is " + short(v) + ", at most " + short(*c.Max) + " is well"
	case c.Max == nil:
		return "is " + short(v) + ", at least " + short(*c.Min) + " is well"
	}
	return "is " + short(v) + ", within " + short(*c.Min) + " to " + short(*c.Max)
}

// together is the verdict of the comparison and the checks: harm that one of them found stands, and a step passes only
// where all of them let it.
func (c Checked) together(j Judgement) Judgement {
	worst := -1
	for i, r := range j.Checks {
		if r.Verdict != Pass && (worst < 0 || r.Verdict == Fail && j.Checks[worst].Verdict != Fail) {
			worst = i
		}
	}
	if worst < 0 || j.Verdict == Fail {
		return j
	}
	r := j.Checks[worst]
	switch {
	case r.Verdict == Fail && j.Verdict == Wait: // how far the comparison is does not matter any more
		j.Verdict, j.Reason = Fail, fmt.Sprintf("check %s %s", r.Name, r.Text)
	case r.Verdict == Fail, j.Verdict == Pass:
		j.Verdict, j.Reason = r.Verdict, fmt.Sprintf("check %s %s; %s", r.Name, r.Text, j.Reason)
	case j.Verdict == Wait && r.Verdict == NoData:
		j.Verdict, j.Reason = NoData, fmt.Sprintf("no data: check %s %s", r.Name, r.Text)
	}
	return j
}
