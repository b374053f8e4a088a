package metrics

import (
	"fmt"
	"math"
	"time"
)

const (
	// fallMemory is how many samples a series that fell is looked at more closely.
	fallMemory = 6
	// regain is how much faster than its busiest a pod may count after a restart, and regainMin what is always believed.
	regain    = 3.0
	regainMin = 100.0
	// fastest is more requests a second than any proxy serves. What rises faster is no count of requests.
	fastest = 1e5
)

// fall is what is known of a counter that went down: its last sample before, how many have come since, and how often it
// fell within fallMemory.
type fall struct {
	last         Sample
	since, times int
}

// fell is what a sample below the one before adds. One fall is a restart of the proxy, which has counted from 0 since; a
// second one within a few samples is not, nor is more than the pod can have served.
func (w *stepWork) fell(id string, s Series, x, last Sample) float64 {
	times := w.c.falls[id].times + 1
	w.c.falls[id] = fall{last: last, times: times}
	if times > 1 {
		w.notACounter(s, fmt.Sprintf("goes up and down (%s, %s)", whole(last.Value), whole(x.Value)))
		return 0
	}
	if x.Value > w.servable(s.Pod, x.At.Sub(last.At)) {
		w.problem("%s of %s fell from %s to %s, more than the pod can have served since: taken as a baseline", s.Labels[nameLabel], s.Pod, whole(last.Value), whole(x.Value))
		return 0
	}
	return x.Value
}

// rose is what a sample not below the one before adds.
func (w *stepWork) rose(id string, s Series, x, last Sample) float64 {
	more := x.Value - last.Value
	if more > fastest*max(1, x.At.Sub(last.At).Seconds()) {
		w.notACounter(s, fmt.Sprintf("rose by %s in %s", whole(more), seconds(x.At.Sub(last.At))))
		return 0
	}
	f, fallen := w.c.falls[id]
	if !fallen {
		return more
	}
	if f.since++; f.since >= fallMemory {
		delete(w.c.falls, id)
		return more
	}
	w.c.falls[id] = f
	if f.times > 1 {
		w.notACounter(s, fmt.Sprintf("goes up and down (%s, %s)", whole(last.Value), whole(x.Value)))
		return 0
	}
	if more > 0 && x.Value > w.servable(s.Pod, x.At.Sub(f.last.At)) {
		w.notACounter(s, fmt.Sprintf("fell from %s and is %s again", whole(f.last.Value), whole(x.Value)))
		return 0
	}
	return more
}

// servable is what a pod may have counted in a time since its restart; no limit where its rate is not known yet.
func (w *stepWork) servable(pod string, d time.Duration) float64 {
	r := w.c.pods[pod]
	if r.rate <= 0 {
		return math.Inf(1)
	}
	return regain*r.rate*max(1, d.Seconds()) + regainMin
}

// notACounter makes the whole interval count for nobody: what one series tells wrongly, others may too, and errors that
// were made up must not take a policy back.
func (w *stepWork) notACounter(s Series, what string) {
	text := fmt.Sprintf("%s of %s %s, as no counter does", s.Labels[nameLabel], s.Pod, what)
	w.problem("%s", text)
	if w.lie == "" || text < w.lie {
		w.lie = text
	}
}

func whole(v float64) string {
	if v >= 1e9 {
		return fmt.Sprintf("%.2g", v)
	}
	return number(v)
}
