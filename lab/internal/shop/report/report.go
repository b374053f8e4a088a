// Package report puts what the clients of a load saw into one document, for people (text) and for programs (JSON).
package report

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// Options say what to report on.
type Options struct {
	// Interval limits the report to requests sent in it.
	Interval referee.Interval
	// Window, if set, splits the requests by cohort.
	Window *referee.Window
	// Bad picks the harmed requests and BadRule says the same in words.
	Bad     referee.Predicate
	BadRule string
	// Series adds the per-second table.
	Series bool
	// Unsent is what the generators counted but did not send.
	Unsent Unsent
}

// Unsent is requests that are not in any record, over the whole run and not only the interval.
type Unsent struct {
	// Dropped were too many in flight, Missed were too late, InFlight have no end yet.
	Dropped  int64 `json:"dropped"`
	Missed   int64 `json:"missed"`
	InFlight int64 `json:"inFlight"`
}

// Report is the document. Its JSON fields are an API of the lab's tests.
type Report struct {
	Clients []string `json:"clients"`
	// First and Last are when the first and the last request were sent.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// All counts all requests of the interval.
	All referee.Tally `json:"all"`
	// UnknownCohorts is the number of requests whose id the client never learnt.
	UnknownCohorts int `json:"unknownCohorts"`
	// Lost records were overwritten in a client's memory before they were asked for: the counts are too small by as many.
	Lost   uint64 `json:"lost"`
	Unsent Unsent `json:"unsent"`
	// BadRule says what counts as bad.
	BadRule  string `json:"badRule"`
	FirstBad *Bad   `json:"firstBad,omitempty"`
	LastBad  *Bad   `json:"lastBad,omitempty"`
	// Window is there when one was asked for.
	Window  *Window  `json:"window,omitempty"`
	Servers []Server `json:"servers"`
	Paths   []Path   `json:"paths"`
	Latency Latency  `json:"latency"`
	// Series is there when it was asked for.
	Series []referee.Second `json:"series,omitempty"`
}

// Bad is one harmed request.
type Bad struct {
	At                time.Time       `json:"at"`
	Outcome           referee.Outcome `json:"outcome"`
	Cohort            referee.Cohort  `json:"cohort"`
	ExpectedTimeoutMs uint32          `json:"expectedTimeoutMs"`
	LatencyMs         float64         `json:"latencyMs"`
	Client            string          `json:"client"`
	Server            string          `json:"server"`
	Path              string          `json:"path"`
}

// Window is the requests split by cohort.
type Window struct {
	referee.Window
	// Share is the share of the requests of known cohort in the window.
	Share referee.Share `json:"share"`
	referee.Halves
}

// Server is what one server pod answered; the names are empty for what no shop pod answered.
type Server struct {
	referee.Server
	referee.Tally
}

// Path is the requests to one path.
type Path struct {
	Path string `json:"path"`
	referee.Tally
}

// Latency counts from the moment of sending and from the moment the schedule wanted.
type Latency struct {
	FromStart referee.Latency `json:"fromStart"`
	FromDue   referee.Latency `json:"fromDue"`
}

// New makes the report of a log.
func New(log referee.Log, o Options) Report {
	records := referee.Between(log.Records, o.Interval)
	r := Report{
		Clients: slices.Sorted(slices.Values(log.Clients)),
		All:     referee.Count(records, o.Bad),
		Lost:    log.Lost,
		Unsent:  o.Unsent,
		BadRule: o.BadRule,
		Servers: servers(log, records, o.Bad),
		Paths:   paths(log, records, o.Bad),
		Latency: Latency{
			FromStart: referee.Latencies(records, referee.Record.FromStart),
			FromDue:   referee.Latencies(records, referee.Record.FromDue),
		},
	}
	if len(records) > 0 {
		// The records of a log are in the order of sending.
		r.First, r.Last = records[0].Start(), records[len(records)-1].Start()
	}
	unknown := func(rec referee.Record) bool { return rec.Cohort == referee.Unknown }
	r.UnknownCohorts = len(referee.Select(records, unknown))
	harm := referee.Harmed(records, o.Interval, o.Bad)
	r.FirstBad, r.LastBad = bad(log, harm.First), bad(log, harm.Last)
	r.addSplit(records, o)
	return r
}

// addSplit fills in what depends on a window.
func (r *Report) addSplit(records []referee.Record, o Options) {
	var window referee.Window
	if o.Window != nil {
		window = *o.Window
		halves := referee.Split(records, window, o.Bad)
		r.Window = &Window{Window: window, Share: halves.Share(window), Halves: halves}
	}
	if o.Series {
		r.Series = referee.PerSecond(records, window, o.Bad)
	}
}

func bad(log referee.Log, r *referee.Record) *Bad {
	if r == nil {
		return nil
	}
	return &Bad{
		At: r.Start(), Outcome: r.Outcome, Cohort: r.Cohort, ExpectedTimeoutMs: r.ExpectedTimeout,
		LatencyMs: float64(r.Latency) / 1000, Client: log.Clients[r.Client], Server: log.ServerOf(*r).Pod, Path: log.Paths[r.Path],
	}
}

func servers(log referee.Log, records []referee.Record, isBad referee.Predicate) []Server {
	out := []Server{}
	for server, tally := range log.ByServer(records, isBad) {
		out = append(out, Server{Server: server, Tally: tally})
	}
	slices.SortFunc(out, func(a, b Server) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Version, b.Version))
	})
	return out
}

func paths(log referee.Log, records []referee.Record, isBad referee.Predicate) []Path {
	byPath := map[uint8][]referee.Record{}
	for _, r := range records {
		byPath[r.Path] = append(byPath[r.Path], r)
	}
	out := []Path{}
	for _, i := range slices.Sorted(maps.Keys(byPath)) {
		out = append(out, Path{Path: log.Paths[i], Tally: referee.Count(byPath[i], isBad)})
	}
	return out
}
