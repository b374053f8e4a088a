package metrics

import (
	"math"
	"testing"
	"time"
)

// What is recent is so by time: behind a gap in the recording lie other hours' requests.
func TestRecentRateIsByTime(t *testing.T) {
	busy, quiet := [2]HalfCount{{Requests: 3000}, {Requests: 3000}}, [2]HalfCount{{Requests: 300}, {Requests: 300}}
	h := History{Tick: time.Minute}
	for i := range 60 { // an hour of 100 a second, four hours without a record, five minutes of 10 a second
		h.Ticks, h.Ages = append(h.Ticks, busy), append(h.Ages, 304-i)
	}
	for i := range 5 {
		h.Ticks, h.Ages = append(h.Ticks, quiet), append(h.Ages, 4-i)
	}
	if got := h.RecentRate(); math.Abs(got-10) > 1e-9 {
		t.Errorf("%g requests a second, want 10", got)
	}
	h.Ticks, h.Ages = h.Ticks[:60], h.Ages[:60]
	if got := h.RecentRate(); got != 0 {
		t.Errorf("nothing was recorded in the last half hour, got %g requests a second", got)
	}
	h.Ages = nil // no gap
	if got := h.RecentRate(); math.Abs(got-100) > 1e-9 {
		t.Errorf("%g requests a second, want 100", got)
	}
}
