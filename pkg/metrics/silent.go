package metrics

import (
	"fmt"
	"math"
	"time"
)

// The rule of the silent canary (ANALYSIS.md section 4): a heuristic, not statistics. Traffic that is cut below HTTP
// leaves no HTTP metric, and requests that hang are not counted until they end.
const (
	silentTicks  = 4
	silentNew    = 0.2
	silentOld    = 0.5
	silentExpect = 50
)

// volume is what flowed: the last ticks of the step, and what was seen before them in the rollout.
type volume struct {
	// Last are seconds, new and old requests of the last ticks of the step, the newest at the end.
	Last [][3]float64 `json:"l,omitempty"`
	// Requests of both sides flowed in Seconds before; New of All were new in this step before.
	Requests float64 `json:"n,omitempty"`
	Seconds  float64 `json:"s,omitempty"`
	New      float64 `json:"c,omitempty"`
	All      float64 `json:"a,omitempty"`
}

// add takes a tick in.
func (v volume) add(seconds, nc, ns float64) volume {
	last := append(append([][3]float64{}, v.Last...), [3]float64{seconds, nc, ns})
	for ; len(last) > silentTicks; last = last[1:] {
		v = v.settle(last[0])
		v.New, v.All = v.New+last[0][1], v.All+last[0][1]+last[0][2]
	}
	v.Last = last
	return v
}

func (v volume) settle(t [3]float64) volume {
	v.Seconds, v.Requests = v.Seconds+t[0], v.Requests+t[1]+t[2]
	return v
}

// nextStep keeps what flowed and forgets the step's own share.
func (v volume) nextStep() volume {
	for _, t := range v.Last {
		v = v.settle(t)
	}
	v.Last, v.New, v.All = nil, 0, 0
	return v
}

// rate is requests a second of both sides, 0 where nothing was seen.
func (v volume) rate(past Baseline) float64 {
	if v.Seconds > 0 {
		return v.Requests / v.Seconds
	}
	return past.Rate()
}

// silent tells that the new side has less than a fifth of the requests to be expected over four ticks, while the old one
// has at least half of its own; it gives what was seen and expected. The expected total is what flowed before; where
// nothing is known of it the old side is the measure. asked is the step's share, 0 where only the step itself can tell.
func (v volume) silent(asked float64, past Baseline) (seen, expected float64, silent bool) {
	if asked <= 0 && v.All > 0 {
		asked = v.New / v.All
	}
	if len(v.Last) < silentTicks || asked <= 0 || asked >= 1 {
		return 0, 0, false
	}
	rate := v.rate(past)
	var old, oldExpected float64
	for _, t := range v.Last {
		total := rate * t[0]
		if rate <= 0 {
			total = t[2] / (1 - asked)
		}
		if asked*total < silentExpect {
			return 0, 0, false
		}
		seen, expected = seen+t[1], expected+asked*total
		old, oldExpected = old+t[2], oldExpected+(1-asked)*total
	}
	return seen, expected, seen < silentNew*expected && old >= silentOld*oldExpected
}

// goneShare is the share of the usual requests below which hardly any are left.
const goneShare = 0.1

// gone tells, where nobody is left under the old policy, that over four ticks hardly any request has ended.
func (v volume) gone(past Baseline) (seen, expected float64, gone bool) {
	rate := v.rate(past)
	for _, t := range v.Last {
		seen, expected = seen+t[1], expected+rate*t[0]
	}
	return seen, expected, len(v.Last) >= silentTicks && expected >= silentTicks*silentExpect && seen < goneShare*expected
}

// vanished is the verdict on requests that are gone where nobody is left to compare with: nobody sends any, or all of
// them hang.
func (l look) vanished() (Verdict, string, bool) {
	seen, expected, gone := l.s.Volume.gone(l.s.flowed())
	fresh := l.now.Sub(time.UnixMilli(l.s.Newest)) <= max(2*l.c.Scrape, l.c.Tick) // a source that stands still says nothing
	if !gone || !fresh || l.elapsed < l.c.staleAfter() {
		return Wait, "", false
	}
	text := fmt.Sprintf("silent: %s of about %s requests to be expected ended in the last %d intervals: they hang, or nobody sends any",
		number(seen), number(expected), silentTicks)
	if l.c.SilentFails {
		return Fail, text, true
	}
	return Inconclusive, text, true
}

// A step is held where the new side lacks missingShare of its requests, and more than missingSigmas standard errors of
// requests that come missingClumps at a time (one id that is passed on makes several).
const (
	missingShare  = 0.2
	missingSigmas = 3.0
	missingClumps = 4.0
)

// missing says that the new side has counted markedly fewer requests in this step than its share. Those that hang until
// their client gives up are in no count, so that a policy which makes half of them hang shows no error and no latency. It
// holds and never fails: requests that merely take long look the same for a while.
func (l look) missing() (string, bool) {
	if l.step.Kind == StepStage || l.step.ByInstance || l.step.Share <= 0 || l.step.Share >= 1 {
		return "", false
	}
	s := l.step.Share
	if l.s.Usable > 0 {
		s *= l.s.Usable
	}
	seen, expected := l.fresh.New.Requests, l.fresh.Old.Requests*s/(1-s)
	chance := missingSigmas * math.Sqrt(missingClumps*expected/(1-s))
	if seen >= (1-missingShare)*expected || expected-seen <= chance {
		return "", false
	}
	return fmt.Sprintf("the new side counted %s of about %s requests to be expected: those that hang are counted only when they end", number(seen), number(expected)), true
}
