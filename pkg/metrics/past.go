package metrics

import (
	"context"
	"slices"
	"time"
)

// PastQuery asks what a service did before a rollout, over all of its clients. Selectors are Prometheus selectors
// without a range, such as {__name__="istio_requests_total",reporter="source"}.
type PastQuery struct {
	// Requests selects counters of finished requests by code, Durations the buckets of their duration in milliseconds;
	// empty where there is none.
	Requests  string
	Durations string
	// Codes says which responses are bad; zero means DefaultCodes.
	Codes CodeRules
	// Scrape is the usual time between two samples; 0 means 15 s.
	Scrape time.Duration
	// Except are times that say nothing of what is usual: other rollouts of the service.
	Except []Span
}

// Span is a time from an instant to another.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Touches tells whether any of it lies in (from, to].
func (s Span) Touches(from, to time.Time) bool { return s.From.Before(to) && s.To.After(from) }

// Usual tells whether a tick that ends at an instant lies outside of what is excepted.
func (q PastQuery) Usual(end time.Time, tick time.Duration) bool {
	return !slices.ContainsFunc(q.Except, func(s Span) bool { return s.Touches(end.Add(-tick), end) })
}

// BadCodes are the rules that make a response bad, defaults filled in.
func (q PastQuery) BadCodes() CodeRules { return q.Codes.orDefault() }

// Historian is a source that remembers: it tells what a service did before a rollout began.
type Historian interface {
	// History reads the given time before now. Nothing recorded is an empty History and no error.
	History(ctx context.Context, q PastQuery, now time.Time, length time.Duration) (History, error)
}

// HistoryLength is how much of the past is read: φ and U rest on six hours (JUDGE.md section 3).
const HistoryLength = 6 * time.Hour

// Empty tells that a history has no request in it.
func (h History) Empty() bool {
	for _, t := range h.Ticks {
		if t[0].Requests+t[1].Requests > 0 {
			return false
		}
	}
	return true
}

// recent is how much of the past says what traffic to expect: less than a day's tide, more than a lull.
const recent = 30 * time.Minute

// RecentRate is requests a second in the last half hour of a history, of those of its ticks that have data; 0 where none
// has. What was before a gap is not recent, however few ticks ago it was.
func (h History) RecentRate() float64 {
	if h.Recent > 0 {
		return h.Recent
	}
	most := max(1, int(recent/max(h.Tick, time.Second)))
	sum, n := 0.0, 0.0
	for i, t := range h.Ticks {
		if h.age(i) < most {
			sum, n = sum+t[0].Requests+t[1].Requests, n+1
		}
	}
	if n == 0 || h.Tick <= 0 {
		return 0
	}
	return sum / (n * h.Tick.Seconds())
}

// age is how many ticks before the history's end a tick is.
func (h History) age(i int) int {
	if i < len(h.Ages) {
		return h.Ages[i]
	}
	return len(h.Ticks) - 1 - i
}
