package loadgen

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// BusyError is the answer to a second run while one is not over. Callers answer it with 409.
type BusyError struct {
	Run   string
	State State
}

// Error says what runs and what to do.
func (e *BusyError) Error() string {
	return fmt.Sprintf("starting a load: run %s is %s; wait for its end (GET /load) or stop it (DELETE /load)", e.Run, e.State)
}

// Generator makes the loads of one pod, one at a time.
type Generator struct {
	pod           string
	defaultTarget string
	transport     func(Spec) (http.RoundTripper, func())

	mu     sync.Mutex
	run    *run
	closed bool
}

// New returns the generator of a pod. A Spec without a target means defaultTarget.
func New(pod, defaultTarget string) *Generator {
	return &Generator{pod: pod, defaultTarget: defaultTarget, transport: func(s Spec) (http.RoundTripper, func()) {
		transport := newTransport(s)
		return transport, transport.CloseIdleConnections
	}}
}

// Start begins a run that outlives ctx. The records of the run before are gone.
func (g *Generator) Start(ctx context.Context, s Spec) (Progress, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Progress{}, fmt.Errorf("starting a load in pod %s: the pod is stopping", g.pod)
	}
	if g.run != nil && !g.run.over() {
		return Progress{}, &BusyError{Run: g.run.id, State: g.run.state()}
	}
	sender, closeIdle, err := g.connect(s)
	if err != nil {
		return Progress{}, err
	}
	g.run = startRun(ctx, s, sender, closeIdle)
	return g.run.progress(), nil
}

// connect makes what sends the requests of a run, and what frees its connections.
func (g *Generator) connect(s Spec) (transmitter, func(), error) {
	if s.grpc() {
		return newCaller(s)
	}
	transport, closeIdle := g.transport(s)
	sender, err := newSender(s, transport)
	return sender, closeIdle, err
}

// Progress is how far the last run is.
func (g *Generator) Progress() Progress {
	if r := g.current(); r != nil {
		return r.progress()
	}
	return Progress{State: Idle}
}

// Stop ends the run, if there is one, and returns when no request is in flight: after two seconds at most, for what
// still hangs then is cut off.
func (g *Generator) Stop() Progress {
	if r := g.current(); r != nil {
		r.stop(stopGrace)
	}
	return g.Progress()
}

// Close ends the run at once and refuses others.
func (g *Generator) Close() {
	g.mu.Lock()
	g.closed = true
	r := g.run
	g.mu.Unlock()
	if r != nil {
		r.stop(0)
	}
}

func (g *Generator) current() *run {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.run
}
