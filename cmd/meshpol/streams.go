package main

import (
	"errors"
	"fmt"
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
	failed error // of the first write that was lost for another reason
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
	if w.failed == nil {
		w.failed = err
	}
	return n, err
}

// lost is the error of a command that succeeded and whose answer could not be written: whoever reads it must not take
// nothing for an answer.
func (s streams) lost(err error) error {
	w, ok := s.out.(*untilClosed)
	if !ok || err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		return nil
	}
	return fmt.Errorf("writing the answer to standard output: %w; what was done in the cluster stands: meshpol status", w.failed)
}
