package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/process"
)

// States of a part, as `lab status` prints them.
const (
	stateWaiting  = "waiting"
	stateStarting = "starting"
	stateReady    = "ready"
	stateStopped  = "stopped"
)

const (
	// stopGrace is how long a part may take to end when asked.
	stopGrace = 5 * time.Second
	// restartPause keeps a part that ends at once from spinning.
	restartPause = time.Second
	// readyPatience is how long a start may take.
	readyPatience = 90 * time.Second
	askEvery      = 100 * time.Millisecond
)

// part is one process of the control plane, kept running unless it is stopped on purpose.
type part struct {
	name    string
	launch  func(ctx context.Context) (*process.Process, error)
	isReady func(ctx context.Context) error
	log     *slog.Logger

	// turn makes start and stop take turns.
	turn sync.Mutex

	mu       sync.Mutex
	state    string
	process  *process.Process
	readyIn  time.Duration
	stopKeep context.CancelFunc
	kept     chan struct{}
}

// start starts the part, keeps it running, and returns when it is ready. A part that runs is left alone.
func (p *part) start(ctx, life context.Context) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	begun := time.Now()
	if p.kept == nil {
		keep, stop := context.WithCancel(life)
		p.stopKeep, p.kept = stop, make(chan struct{})
		p.set(stateStarting, nil)
		go p.keep(keep, p.kept)
	}
	if err := waitReady(ctx, p.name, p.isReady); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.readyIn = stateReady, time.Since(begun)
	return nil
}

// stop ends the part and returns when it is gone.
func (p *part) stop(context.Context) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.kept == nil {
		return nil
	}
	p.stopKeep()
	<-p.kept
	p.kept = nil
	p.set(stateStopped, nil)
	return nil
}

func (p *part) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process != nil
}

// keep starts the process again whenever it ends, until ctx does.
func (p *part) keep(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for {
		proc, err := p.launch(ctx)
		if err != nil {
			p.log.Error("starting", "part", p.name, "error", err)
		} else {
			p.set("", proc)
			select {
			case <-proc.Done():
				code, _ := proc.Exit()
				p.log.Warn("part ended by itself, starting it again", "part", p.name, "code", code)
				p.set(stateStarting, nil)
			case <-ctx.Done():
				proc.Stop(stopGrace)
				return
			}
		}
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return
		}
		go p.noteReady(ctx)
	}
}

// noteReady marks a part that was started again as ready when it is.
func (p *part) noteReady(ctx context.Context) {
	if waitReady(ctx, p.name, p.isReady) == nil {
		p.set(stateReady, nil)
	}
}

// set changes the state, unless it is empty, and the process, unless it is nil.
func (p *part) set(state string, proc *process.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state != "" {
		p.state = state
		if state != stateReady {
			p.process = nil
		}
	}
	if proc != nil {
		p.process = proc
	}
}

func (p *part) status() conn.PartStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := conn.PartStatus{Name: p.name, State: p.state, ReadyIn: p.readyIn}
	if s.State == "" {
		s.State = stateWaiting
	}
	if p.process != nil {
		s.PID = p.process.PID()
		s.RSS = process.RSS(s.PID)
	}
	return s
}

func waitReady(ctx context.Context, name string, isReady func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		err := isReady(attempt)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready (see: lab logs %s): %w", name, name, err)
		}
	}
}
