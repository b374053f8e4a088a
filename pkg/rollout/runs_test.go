package rollout_test

import (
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// TestRuns: a state knows the rollouts that a history may meet, and no others.
func TestRuns(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	span := func(from, to time.Duration) metrics.Span { return metrics.Span{From: now.Add(-from), To: now.Add(-to)} }
	s := rollout.State{Before: []metrics.Span{span(8*time.Hour, 7*time.Hour), span(7*time.Hour, 5*time.Hour)}, Started: now.Add(-time.Hour), Updated: now.Add(-time.Minute)}
	if got := s.Runs(now); got != nil {
		t.Errorf("no rollout at all, yet %v", got)
	}
	for phase, to := range map[rollout.Phase]time.Duration{rollout.RolledBack: time.Minute, rollout.Succeeded: time.Minute, rollout.Progressing: 0, rollout.Failed: 0} {
		s.Phase = phase
		got := s.Runs(now)
		if len(got) != 2 || got[0] != span(7*time.Hour, 5*time.Hour) || got[1] != span(time.Hour, to) {
			t.Errorf("%s: %v", phase, got)
		}
	}
	s.Phase = rollout.Progressing
	for range 40 {
		s.Before = append(s.Before, span(2*time.Hour, time.Hour))
	}
	if got := s.Runs(now); len(got) != 30 || got[29] != span(time.Hour, 0) {
		t.Errorf("%d rollouts are remembered, the last is %v", len(got), got[len(got)-1])
	}
}
