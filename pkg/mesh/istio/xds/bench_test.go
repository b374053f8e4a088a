package xds

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// BenchmarkBarrier is one barrier over ten thousand proxies: all of its polls, probes and conclusions.
func BenchmarkBarrier(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := range b.N {
				s := newSim(uint64(i), 3, n, 0.9)
				s.write("mp-new-x")
				barrier := New(ask(present("mp-new-x")), NewMemory(), s.now)
				var spent, virtual time.Duration
				began := s.now
				done := false
				for step := 0; !done && step < 4000; step++ {
					for range 10 {
						s.tick()
					}
					polls := make([][]Status, len(s.planes))
					for i, pl := range s.planes {
						polls[i] = s.status(pl)
					}
					at := time.Now()
					for i, pl := range s.planes {
						barrier.Planes([]string{s.planes[0].id, s.planes[1].id, s.planes[2].id}, s.now)
						barrier.Poll(pl.id, s.now, s.now, polls[i])
					}
					probes := barrier.Probes(s.now, 8)
					spent += time.Since(at)
					for _, p := range probes {
						r := s.read(barrier, p)
						at := time.Now()
						barrier.Read(r, s.now)
						spent += time.Since(at)
					}
					at = time.Now()
					barrier.Refused(s.now)
					done = barrier.Done()
					spent += time.Since(at)
				}
				virtual = s.now.Sub(began)
				b.ReportMetric(spent.Seconds(), "cpu-s/barrier")
				b.ReportMetric(virtual.Seconds(), "mesh-s/barrier")
				if !done {
					b.Fatalf("not done: %d stragglers", len(barrier.Count().Stragglers))
				}
			}
		})
	}
}

// BenchmarkParseSyncz is what a poll of an istiod with a thousand proxies costs.
func BenchmarkParseSyncz(b *testing.B) {
	var one []json.RawMessage
	if err := json.Unmarshal(recorded(b, "syncz.json"), &one); err != nil {
		b.Fatal(err)
	}
	var many []json.RawMessage
	for range 250 {
		many = append(many, one...)
	}
	text, err := json.Marshal(many)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseSyncz(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
