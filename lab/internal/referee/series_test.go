package referee_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestPerSecond(t *testing.T) {
	slow := at(999*time.Millisecond, 200, 2)
	slow.Latency = 40_000
	all := []referee.Record{
		at(3*time.Second, 504, 1), slow, at(0, 503, 9), at(3*time.Second+1, 200, referee.Unknown),
	}
	got := referee.PerSecond(all, referee.Window{Start: 1, Width: 2}, referee.Bad)
	want := []referee.Second{
		{At: epoch, Sent: 2, Bad: 1, In: 1, P99: 40 * time.Millisecond},
		{At: epoch.Add(time.Second)},
		{At: epoch.Add(2 * time.Second)},
		{At: epoch.Add(3 * time.Second), Sent: 2, Bad: 1, In: 1, InBad: 1},
	}
	if len(got) != len(want) {
		t.Fatalf("%d seconds, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if !got[i].At.Equal(want[i].At) {
			t.Errorf("second %d is %s, want %s", i, got[i].At, want[i].At)
		}
		got[i].At, want[i].At = time.Time{}, time.Time{}
		if got[i] != want[i] {
			t.Errorf("second %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if referee.PerSecond(nil, referee.Window{}, referee.Bad) != nil {
		t.Error("no request, no second")
	}
}

func TestPerSecondLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(records(1, 1), 1, 50).Draw(t, "records")
		w := windows().Draw(t, "window")
		table := referee.PerSecond(all, w, referee.Bad)
		h := referee.Split(all, w, referee.Bad)
		var sum referee.Second
		for i, s := range table {
			sum.Sent += s.Sent
			sum.Bad += s.Bad
			sum.In += s.In
			sum.InBad += s.InBad
			if i > 0 && s.At.Sub(table[i-1].At) != time.Second {
				t.Fatalf("second %s follows %s", s.At, table[i-1].At)
			}
			exact := referee.Between(all, referee.Interval{From: s.At, Until: s.At.Add(time.Second)})
			if len(exact) != s.Sent {
				t.Fatalf("second %s has %d, the interval %d", s.At, s.Sent, len(exact))
			}
		}
		bad := h.In.Bad + h.Out.Bad + h.Unknown.Bad
		if sum.Sent != len(all) || sum.Bad != bad || sum.In != h.In.Total || sum.InBad != h.In.Bad {
			t.Fatalf("the table sums to %+v of %d records, halves %+v", sum, len(all), h)
		}
		if table[0].Sent == 0 || table[len(table)-1].Sent == 0 {
			t.Fatal("the table begins or ends with an empty second")
		}
	})
}

func TestPercentilesAreNearestRank(t *testing.T) {
	var all []referee.Record
	for i := range 1000 {
		all = append(all, referee.Record{Lag: 500, Latency: uint32(1000 * (1000 - i))})
	}
	ms := time.Millisecond
	want := referee.Latency{N: 1000, P50: 500 * ms, P90: 900 * ms, P99: 990 * ms, P999: 999 * ms, Max: 1000 * ms}
	if got := referee.Latencies(all, referee.Record.FromStart); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := referee.Latencies(all, referee.Record.FromDue); got.Max != 1000*ms+500*time.Microsecond {
		t.Errorf("from due %+v", got)
	}
	if got := referee.Latencies(nil, referee.Record.FromStart); got != (referee.Latency{}) {
		t.Errorf("of nothing %+v", got)
	}
	if got := referee.Latencies(all[:1], referee.Record.FromStart); got.P50 != time.Second || got.Max != time.Second {
		t.Errorf("of one %+v", got)
	}
}
