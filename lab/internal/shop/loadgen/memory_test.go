package loadgen

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestMemoryKeepsTheLastRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(chunk-2, chunk+2)).Draw(t, "limit")
		made := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(chunk-3, 2*chunk+3)).Draw(t, "made")
		m := newMemory(limit)
		for i := range made {
			m.add(referee.Record{Due: int64(i)}, referee.Server{})
		}
		oldest := max(0, made-limit)
		if next, overwritten := m.counts(); next != uint64(made) || overwritten != uint64(oldest) {
			t.Fatalf("counts %d and %d of %d records in %d places", next, overwritten, made, limit)
		}
		since := rapid.IntRange(0, made).Draw(t, "since")
		var h referee.Header
		if !m.span(uint64(since), &h) {
			t.Fatal("no span")
		}
		from := max(since, oldest)
		if h.From != uint64(from) || h.Next != uint64(made) || h.Lost != uint64(from-since) {
			t.Fatalf("header %+v since %d, oldest %d", h, since, oldest)
		}
		out := make([]referee.Record, made-from)
		if !m.read(h.From, out) {
			t.Fatal("records that are there were not read")
		}
		for i, r := range out {
			if r.Due != int64(from+i) || r.Server != referee.NoServer {
				t.Fatalf("record %d is %+v", from+i, r)
			}
		}
		if oldest > 0 && m.read(uint64(oldest-1), make([]referee.Record, 1)) {
			t.Fatal("a record that is overwritten was read")
		}
		if m.span(uint64(made+1), &h) {
			t.Fatal("a span of records that do not exist")
		}
	})
}

func TestMemoryNamesServers(t *testing.T) {
	m := newMemory(10)
	a, b := referee.Server{Pod: "a", Version: "v1"}, referee.Server{Pod: "a", Version: "v2"}
	for _, s := range []referee.Server{a, b, a, {}} {
		m.add(referee.Record{}, s)
	}
	out := make([]referee.Record, 4)
	m.read(0, out)
	if out[0].Server != 0 || out[1].Server != 1 || out[2].Server != 0 || out[3].Server != referee.NoServer {
		t.Errorf("%+v", out)
	}
	for i := range 70_000 {
		m.place(referee.Server{Pod: fmt.Sprint(i)})
	}
	if len(m.servers) != referee.NoServer || m.place(referee.Server{Pod: "one more"}) != referee.NoServer || m.place(b) != 1 {
		t.Errorf("%d servers", len(m.servers))
	}
}

func BenchmarkMemoryAdd(b *testing.B) {
	m := newMemory(MaxRecords)
	server := referee.Server{Pod: "user-service-v1-abc", Version: "v1"}
	for b.Loop() {
		m.add(referee.Record{Outcome: 200}, server)
	}
}
