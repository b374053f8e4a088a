package loadgen

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPacerSendsOnTime(t *testing.T) {
	start := time.Unix(0, 0)
	p := newPacer(start, 100, time.Second)
	sent := 0
	for now := start; ; {
		got := p.take(now)
		if got.missed != 0 || len(got.send) > 1 {
			t.Fatalf("at %s: %+v", now.Sub(start), got)
		}
		sent += len(got.send)
		if got.over {
			break
		}
		if got.wait != 10*time.Millisecond {
			t.Fatalf("at %s: wait %s", now.Sub(start), got.wait)
		}
		now = now.Add(got.wait)
	}
	if sent != 100 {
		t.Errorf("sent %d of 100", sent)
	}
}

func TestPacerDoesNotBunchUpAfterAStall(t *testing.T) {
	start := time.Unix(0, 0)
	p := newPacer(start, 1000, time.Minute)
	p.take(start)
	got := p.take(start.Add(5 * time.Second))
	if len(got.send) != 11 || got.missed != 4989 || got.wait != time.Millisecond {
		t.Errorf("after a stall of 5 s: %d sent, %d missed, wait %s", len(got.send), got.missed, got.wait)
	}
	// A slow schedule sends the one request that is late by less than a period.
	p = newPacer(start, 2, time.Minute)
	p.take(start)
	got = p.take(start.Add(1900 * time.Millisecond))
	if len(got.send) != 1 || got.missed != 2 || p.at(got.send[0]) != start.Add(1500*time.Millisecond) {
		t.Errorf("a slow schedule: %+v", got)
	}
	// Past its end, nothing is sent any more.
	got = p.take(start.Add(time.Hour))
	if len(got.send) != 0 || !got.over {
		t.Errorf("an hour later: %+v", got)
	}
}

func TestPacerAccountsForEveryRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rps := rapid.Float64Range(0.5, 2000).Draw(t, "rps")
		length := time.Duration(rapid.Int64Range(1e6, 5e9).Draw(t, "length"))
		start := time.Unix(1_700_000_000, 0)
		p := newPacer(start, rps, length)
		most := 2 + int(grace.Seconds()*rps)
		next, missed := 0, 0
		for now := start; ; {
			got := p.take(now)
			if len(got.send) > most {
				t.Fatalf("%d requests at once at %g rps", len(got.send), rps)
			}
			missed += got.missed
			next += got.missed
			for _, slot := range got.send {
				if slot != next || p.at(slot).After(now) {
					t.Fatalf("slot %d at %s, want slot %d, due %s", slot, now.Sub(start), next, p.at(slot).Sub(start))
				}
				next++
			}
			if got.over {
				break
			}
			now = now.Add(got.wait + time.Duration(rapid.Int64Range(0, 3e8).Draw(t, "stall")))
		}
		if next != p.total {
			t.Fatalf("%d requests of %d, %d missed", next, p.total, missed)
		}
		if last := p.at(p.total - 1); p.total > 1 && !last.Before(start.Add(length)) {
			t.Fatalf("the last request is due %s after the start of a run of %s", last.Sub(start), length)
		}
	})
}
