package loadgen

import (
	"math"
	"time"
)

// grace is how late a request may still be sent. It bounds how many go out at once: grace × rps, and at least one.
const grace = 10 * time.Millisecond

// pacer is the schedule of a run: pure, told the time.
type pacer struct {
	start time.Time
	rps   float64
	total int
	next  int
}

func newPacer(start time.Time, rps float64, length time.Duration) *pacer {
	return &pacer{start: start, rps: rps, total: max(1, int(rps*length.Seconds()+1e-9))}
}

// at is when a request is due.
func (p *pacer) at(slot int) time.Time {
	return p.start.Add(time.Duration(math.Round(float64(slot) / p.rps * float64(time.Second))))
}

// turn is what there is to do at one moment.
type turn struct {
	// send are the requests to send now.
	send []int
	// missed is the number given up because they are too late.
	missed int
	// wait is the time until the next request; meaningless when over.
	wait time.Duration
	over bool
}

// take moves the schedule on to now.
func (p *pacer) take(now time.Time) turn {
	var t turn
	latest := max(grace, time.Duration(float64(time.Second)/p.rps))
	for p.next < p.total {
		late := now.Sub(p.at(p.next))
		if late < 0 {
			t.wait = -late
			return t
		}
		if late > latest {
			t.missed++
		} else {
			t.send = append(t.send, p.next)
		}
		p.next++
	}
	t.over = true
	return t
}
