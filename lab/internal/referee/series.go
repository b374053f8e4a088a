package referee

import (
	"cmp"
	"slices"
	"time"
)

// Second is one line of the per-second table.
type Second struct {
	// At is the whole second; a request belongs to the second in which it was sent.
	At   time.Time `json:"at"`
	Sent int       `json:"sent"`
	Bad  int       `json:"bad"`
	// In and InBad count the requests whose cohort is in the window.
	In    int `json:"in"`
	InBad int `json:"inBad"`
	// P50 and P99 are latencies counted from the moment of sending; 0 for an empty second.
	P50 time.Duration `json:"p50Ns"`
	P99 time.Duration `json:"p99Ns"`
}

// PerSecond is the table from the second of the first request to the second of the last, empty seconds included.
// The records need not be sorted. Without a window pass the zero Window: nothing is in it.
func PerSecond(records []Record, w Window, bad Predicate) []Second {
	sorted := slices.SortedFunc(slices.Values(records), func(a, b Record) int {
		return cmp.Compare(a.startMicros(), b.startMicros())
	})
	var out []Second
	for len(sorted) > 0 {
		second := floorSecond(sorted[0])
		n := slices.IndexFunc(sorted, func(r Record) bool { return floorSecond(r) != second })
		if n < 0 {
			n = len(sorted)
		}
		out = appendSecond(out, second, sorted[:n], w, bad)
		sorted = sorted[n:]
	}
	return out
}

// appendSecond adds the line of one second and, before it, those of the empty seconds since the line before.
func appendSecond(out []Second, second int64, records []Record, w Window, bad Predicate) []Second {
	if len(out) > 0 {
		for at := out[len(out)-1].At.Unix() + 1; at < second; at++ {
			out = append(out, Second{At: time.Unix(at, 0)})
		}
	}
	line := Second{At: time.Unix(second, 0), Sent: len(records)}
	for _, r := range records {
		isBad, isIn := bad(r), w.Contains(r.Cohort)
		line.Bad += one(isBad)
		line.In += one(isIn)
		line.InBad += one(isBad && isIn)
	}
	latency := Latencies(records, Record.FromStart)
	line.P50, line.P99 = latency.P50, latency.P99
	return append(out, line)
}

// floorSecond rounds down, also before 1970.
func floorSecond(r Record) int64 { return r.Start().Truncate(time.Second).Unix() }

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Latency is the latencies of a set of records. Each percentile is the smallest value that at least that share of the
// values does not exceed (nearest rank): always a latency that was really seen.
type Latency struct {
	N    int           `json:"n"`
	P50  time.Duration `json:"p50Ns"`
	P90  time.Duration `json:"p90Ns"`
	P99  time.Duration `json:"p99Ns"`
	P999 time.Duration `json:"p999Ns"`
	Max  time.Duration `json:"maxNs"`
}

// Latencies measures records by [Record.FromStart] or [Record.FromDue]. A request without an answer counts with the
// time until its error.
func Latencies(records []Record, measure func(Record) time.Duration) Latency {
	values := make([]time.Duration, 0, len(records))
	for _, r := range records {
		values = append(values, measure(r))
	}
	slices.Sort(values)
	return Latency{
		N:    len(values),
		P50:  nearestRank(values, 500),
		P90:  nearestRank(values, 900),
		P99:  nearestRank(values, 990),
		P999: nearestRank(values, 999),
		Max:  nearestRank(values, 1000),
	}
}

// nearestRank takes the quantile in thousandths, so that the rank is exact.
func nearestRank(sorted []time.Duration, thousandths int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (thousandths*len(sorted) + 999) / 1000
	return sorted[rank-1]
}
