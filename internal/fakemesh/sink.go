package fakemesh

import (
	"sync"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// Recorder is a sink that keeps every event.
type Recorder struct {
	mu     sync.Mutex
	events []rollout.Event
}

var _ rollout.Sink = (*Recorder)(nil)

// Emit implements rollout.Sink.
func (r *Recorder) Emit(e rollout.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events is what was told so far.
func (r *Recorder) Events() []rollout.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]rollout.Event{}, r.events...)
}

// Of are the events of one type.
func Of[E rollout.Event](r *Recorder) []E {
	var out []E
	for _, e := range r.Events() {
		if x, ok := e.(E); ok {
			out = append(out, x)
		}
	}
	return out
}
