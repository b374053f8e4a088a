package loadgen

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// stopGrace is how long requests in flight may still take when a run is told to stop.
const stopGrace = 2 * time.Second

// State is what a run is doing.
type State string

// The states. Idle is before the first run; Draining waits for requests in flight.
const (
	Idle     State = "idle"
	Running  State = "running"
	Draining State = "draining"
	Done     State = "done"
	Stopped  State = "stopped"
)

// transmitter sends the request of a slot and waits for its end. It is used by many goroutines at once.
type transmitter interface {
	send(ctx context.Context, slot int, due time.Time) seen
}

// run is one load. Its goroutines end when its schedule is over or stopped and no request is in flight.
type run struct {
	id     string
	spec   Spec
	start  time.Time
	memory *memory
	sender transmitter

	stopSchedule context.CancelFunc
	abort        context.CancelFunc
	done         chan struct{}

	places   chan struct{}
	requests sync.WaitGroup

	sent, missed, dropped, ended atomic.Int64
	resent, idChanged            atomic.Int64
	draining, stopped            atomic.Bool
	lastError                    atomic.Pointer[Problem]
}

// Problem is an error that a request ended in.
type Problem struct {
	At    time.Time `json:"at"`
	Class string    `json:"class"`
	Text  string    `json:"text"`
}

// startRun begins a load at once. It outlives ctx, of which it only keeps the values.
func startRun(ctx context.Context, s Spec, sender transmitter, closeIdle func()) *run {
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	schedule, stopSchedule := context.WithCancel(requests)
	now := time.Now()
	r := &run{
		id: strconv.FormatInt(now.UnixMicro(), 10), spec: s, start: now, memory: newMemory(s.MaxRecords), sender: sender,
		stopSchedule: stopSchedule, abort: abort, done: make(chan struct{}), places: make(chan struct{}, s.Concurrency),
	}
	go func() {
		defer close(r.done)
		defer closeIdle()
		defer abort()
		r.follow(schedule, requests)
		r.draining.Store(true)
		r.requests.Wait()
	}()
	return r
}

// follow sends what is due until the schedule is over or cancelled.
func (r *run) follow(schedule, requests context.Context) {
	pace := newPacer(r.start, r.spec.RPS, time.Duration(r.spec.Duration))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-schedule.Done():
			r.stopped.Store(true)
			return
		case <-timer.C:
		}
		now := pace.take(time.Now())
		r.missed.Add(int64(now.missed))
		for _, slot := range now.send {
			r.dispatch(requests, slot, pace.at(slot))
		}
		if now.over {
			return
		}
		timer.Reset(now.wait)
	}
}

// dispatch sends a request unless too many are in flight.
func (r *run) dispatch(ctx context.Context, slot int, due time.Time) {
	select {
	case r.places <- struct{}{}:
	default:
		r.dropped.Add(1)
		return
	}
	r.sent.Add(1)
	r.requests.Go(func() {
		defer func() { <-r.places }()
		r.keep(r.sender.send(ctx, slot, due))
	})
}

func (r *run) keep(s seen) {
	if s.err != nil {
		r.lastError.Store(&Problem{At: time.Now(), Class: s.record.Outcome.String(), Text: s.err.Error()})
	}
	if s.record.Flags&referee.Resent != 0 {
		r.resent.Add(1)
	}
	if s.record.Flags&referee.IDChanged != 0 {
		r.idChanged.Add(1)
	}
	r.memory.add(s.record, s.server)
	r.ended.Add(1)
}

// stop ends the schedule and waits for the requests in flight, at most so long; then it cuts them off.
func (r *run) stop(wait time.Duration) {
	r.stopSchedule()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		r.abort()
		<-r.done
	}
}

func (r *run) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *run) state() State {
	switch {
	case !r.over() && r.draining.Load():
		return Draining
	case !r.over():
		return Running
	case r.stopped.Load():
		return Stopped
	default:
		return Done
	}
}

// Progress is how far a run is. Sent, Dropped and Missed sum to the requests that were due so far.
type Progress struct {
	State State  `json:"state"`
	Run   string `json:"run,omitempty"`
	Spec  *Spec  `json:"spec,omitempty"`
	// Start and End are the first moment of the schedule and the one after its last.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	// Sent requests went out; Dropped would have been too many in flight; Missed would have been late.
	Sent    int64 `json:"sent"`
	Dropped int64 `json:"dropped"`
	Missed  int64 `json:"missed"`
	// InFlight requests have no end yet and so no record.
	InFlight int64 `json:"inFlight"`
	// Resent and IDChanged count the flags of the records.
	Resent    int64 `json:"resent"`
	IDChanged int64 `json:"idChanged"`
	// Records were made, of which the first Overwritten are gone.
	Records     uint64 `json:"records"`
	Overwritten uint64 `json:"overwritten"`
	// LastError is the last error that a request ended in.
	LastError *Problem `json:"lastError,omitempty"`
}

func (r *run) progress() Progress {
	// State and ended are read before sent, so that a request is never missing from both.
	p := Progress{State: r.state(), Run: r.id, Spec: &r.spec, Start: r.start, LastError: r.lastError.Load()}
	p.End = r.start.Add(time.Duration(r.spec.Duration))
	ended := r.ended.Load()
	p.Sent, p.Dropped, p.Missed = r.sent.Load(), r.dropped.Load(), r.missed.Load()
	p.InFlight = p.Sent - ended
	p.Resent, p.IDChanged = r.resent.Load(), r.idChanged.Load()
	p.Records, p.Overwritten = r.memory.counts()
	return p
}
