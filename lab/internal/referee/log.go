package referee

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Log is what several clients saw, in the order the requests were sent.
type Log struct {
	Clients []string
	Servers []Server
	Paths   []string
	// Lost is the number of records that clients could no longer tell.
	Lost    uint64
	Records []Record
}

// Merge makes one log of the batches. The batches stay as they are. Two batches of one client are put together, as
// when a collector asked twice; they must not overlap.
func Merge(batches ...Batch) (Log, error) {
	var out Log
	for _, batch := range batches {
		if err := overlap(batches, batch.Header); err != nil {
			return Log{}, err
		}
		if err := out.add(batch); err != nil {
			return Log{}, fmt.Errorf("merging the records of client %q: %w", batch.Header.Client, err)
		}
	}
	slices.SortStableFunc(out.Records, func(a, b Record) int { return cmp.Compare(a.startMicros(), b.startMicros()) })
	return out, nil
}

// overlap refuses a second batch with the same records of the same run of the same client: they would count twice.
func overlap(batches []Batch, h Header) error {
	same := 0
	for _, other := range batches {
		o := other.Header
		if o.Client == h.Client && o.Run == h.Run && o.From < h.Next && h.From < o.Next {
			same++
		}
	}
	if same > 1 {
		return fmt.Errorf("merging the records of client %q, run %q: %d batches hold records between %d and %d; "+
			"ask each time from the last answer's next on", h.Client, h.Run, same, h.From, h.Next)
	}
	return nil
}

func (l *Log) add(b Batch) error {
	l.Lost += b.Header.Lost
	client := place(&l.Clients, b.Header.Client)
	servers := make([]int, len(b.Header.Servers))
	for i, s := range b.Header.Servers {
		servers[i] = place(&l.Servers, s)
	}
	paths := make([]int, len(b.Header.Paths))
	for i, p := range b.Header.Paths {
		paths[i] = place(&l.Paths, p)
	}
	if len(l.Clients) > math.MaxUint16 || len(l.Servers) > NoServer || len(l.Paths) > math.MaxUint8+1 {
		return fmt.Errorf("%d clients, %d servers, %d paths; allowed: %d, %d, %d",
			len(l.Clients), len(l.Servers), len(l.Paths), math.MaxUint16, NoServer, math.MaxUint8+1)
	}
	for _, r := range b.Records {
		if err := b.Header.covers(r); err != nil {
			return err
		}
		r.Client, r.Path = uint16(client), uint8(paths[r.Path])
		if r.Server != NoServer {
			r.Server = uint16(servers[r.Server])
		}
		l.Records = append(l.Records, r)
	}
	return nil
}

// place is the index of v in list, put at the end if it was not there.
func place[T comparable](list *[]T, v T) int {
	if i := slices.Index(*list, v); i >= 0 {
		return i
	}
	*list = append(*list, v)
	return len(*list) - 1
}

// ServerOf is the server that answered a record of this log; both names are empty when no shop pod did.
func (l Log) ServerOf(r Record) Server {
	if int(r.Server) >= len(l.Servers) {
		return Server{}
	}
	return l.Servers[r.Server]
}

// Interval is a half-open span of time: From is in it, Until is not. A zero end is no limit.
type Interval struct {
	From, Until time.Time
}

// Contains tells whether a moment is in the interval.
func (i Interval) Contains(t time.Time) bool {
	return (i.From.IsZero() || !t.Before(i.From)) && (i.Until.IsZero() || t.Before(i.Until))
}

// Between is the records that were sent in the interval, in their order. The input stays as it is.
func Between(records []Record, in Interval) []Record {
	return Select(records, func(r Record) bool { return in.Contains(r.Start()) })
}

// Select is the records for which every predicate holds.
func Select(records []Record, all ...Predicate) []Record {
	var out []Record
	for _, r := range records {
		if !slices.ContainsFunc(all, func(p Predicate) bool { return !p(r) }) {
			out = append(out, r)
		}
	}
	return out
}
