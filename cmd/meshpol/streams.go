package main

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// streams are the process's ends, so that tests can bring their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	// configDir is where the user keeps configuration files; empty: nowhere.
	configDir             string
	inTTY, outTTY, errTTY bool
	// width is the width of the terminal in columns; 0: not known.
	width int
}

// shared makes the writers safe for whoever writes at the same time (events, signals, warnings of the API server), and
// for readers that go away.
func (s streams) shared() streams {
	s.out, s.err = &untilClosed{to: s.out}, &untilClosed{to: s.err}
	return s
}

// untilClosed drops what nobody reads any more. A reader that goes away (meshpol plan | head, a terminal that is closed)
// is no error, changes no exit code, and above all ends no rollout.
type untilClosed struct {
	mu     sync.Mutex
	to     io.Writer
	closed bool
}

// Write writes until the other end is closed.
func (w *untilClosed) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return len(b), nil
	}
	n, err := w.to.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		w.closed = true
		return len(b), nil
	}
	return n, err
}
