package referee

import "time"

// Harm is the bad requests of an interval.
type Harm struct {
	// Total requests were sent, Bad of them were bad.
	Total int
	Bad   int
	// First and Last are the bad ones that were sent first and last; nil when there is none.
	First *Record
	Last  *Record
}

// Harmed counts the bad requests among those sent in the interval. The records need not be sorted.
func Harmed(records []Record, in Interval, bad Predicate) Harm {
	var h Harm
	for _, r := range records {
		if !in.Contains(r.Start()) {
			continue
		}
		h.Total++
		if bad(r) {
			h.addBad(r)
		}
	}
	return h
}

func (h *Harm) addBad(r Record) {
	h.Bad++
	if h.First == nil || r.startMicros() < h.First.startMicros() {
		h.First = &r
	}
	if h.Last == nil || r.startMicros() >= h.Last.startMicros() {
		h.Last = &r
	}
}

// Span is the time between the first and the last bad request; 0 for one or none.
func (h Harm) Span() time.Duration {
	if h.First == nil {
		return 0
	}
	return h.Last.Start().Sub(h.First.Start())
}
