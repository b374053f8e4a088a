package trial

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Event is one JSON line of meshpol's.
type Event struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	// Fields is the whole line.
	Fields map[string]any `json:"-"`
}

// Text is a field as text; empty where it is none.
func (e Event) Text(name string) string {
	s, _ := e.Fields[name].(string)
	return s
}

// Run is one run of meshpol.
type Run struct {
	Args           []string
	Stdout, Stderr string
	Started, Ended time.Time
	// Exit is the exit code, -1 where a signal ended it.
	Exit int

	mu     sync.Mutex
	events []Event
	cmd    *exec.Cmd
	done   chan struct{}
	seen   chan Event
}

// Start runs meshpol with events as JSON lines. watch sees every event as it comes; it may be nil.
func (l *Lab) Start(ctx context.Context, watch func(Event), args ...string) (*Run, error) {
	args = append(args, "-o", "jsonl")
	return l.start(ctx, watch, args)
}

func (l *Lab) start(ctx context.Context, watch func(Event), args []string) (*Run, error) {
	r := &Run{Args: args, Started: time.Now(), done: make(chan struct{}), cmd: exec.CommandContext(ctx, l.Meshpol, args...)}
	r.cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Kubeconfig, "MESHPOL_PROMETHEUS="+l.Prometheus)
	var stdout bytes.Buffer
	r.cmd.Stdout = &stdout
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("running meshpol: %w", err)
	}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("running meshpol: %w", err)
	}
	go func() {
		defer close(r.done)
		r.read(stderr, watch)
		err := r.cmd.Wait()
		r.Ended, r.Stdout = time.Now(), stdout.String()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			r.Exit = exit.ExitCode()
		}
	}()
	return r, nil
}

func (r *Run) read(from io.Reader, watch func(Event)) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event == "" || json.Unmarshal(lines.Bytes(), &e.Fields) != nil {
			r.mu.Lock()
			r.Stderr += lines.Text() + "\n"
			r.mu.Unlock()
			continue
		}
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
		if watch != nil {
			watch(e)
		}
	}
}

// Wait waits for the end and returns the run.
func (r *Run) Wait() *Run {
	<-r.done
	return r
}

// Over tells whether the run has ended.
func (r *Run) Over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to meshpol.
func (r *Run) Signal(s os.Signal) error { return r.cmd.Process.Signal(s) }

// Kill ends meshpol as a power cut would and waits for its end; a run that is over is no error.
func (r *Run) Kill() error {
	err := r.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-r.done
	return err
}

// Events are the events so far.
func (r *Run) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Named are the events of a name, in order.
func (r *Run) Named(name string) []Event {
	var out []Event
	for _, e := range r.Events() {
		if e.Event == name {
			out = append(out, e)
		}
	}
	return out
}

// Run runs meshpol to its end with events as JSON lines.
func (l *Lab) Run(ctx context.Context, args ...string) (*Run, error) {
	r, err := l.Start(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	return r.Wait(), nil
}

// Plain runs meshpol to its end as a person would, with text.
func (l *Lab) Plain(ctx context.Context, args ...string) (*Run, error) {
	r, err := l.start(ctx, nil, args)
	if err != nil {
		return nil, err
	}
	return r.Wait(), nil
}
