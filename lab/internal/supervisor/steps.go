package supervisor

import (
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

// steps records how far the start has come. Its zero value is ready.
type steps struct {
	mu       sync.Mutex
	list     []conn.PartStatus
	finished bool
	err      error
}

// do runs one stage of the start and records how long it took.
func (s *steps) do(name string, f func() error) error {
	s.mu.Lock()
	at := len(s.list)
	s.list = append(s.list, conn.PartStatus{Name: name, State: stateStarting})
	s.mu.Unlock()
	begun := time.Now()
	err := f()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.list[at].State = stateReady
		s.list[at].ReadyIn = time.Since(begun)
	}
	return err
}

func (s *steps) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *steps) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
}

// report writes the stages into a status.
func (s *steps) report(out *conn.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Parts = append([]conn.PartStatus{}, s.list...)
	out.Ready = s.finished && s.err == nil
	if s.err != nil {
		out.Error = s.err.Error()
	}
}
