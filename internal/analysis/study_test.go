package main

import (
	"strings"
	"testing"

	"github.com/meshpol/meshpol/pkg/simulate"
)

// TestPausesAreNoMissingVerdicts: a pause has found something, and stands by itself in cells and columns.
func TestPausesAreNoMissingVerdicts(t *testing.T) {
	tally := simulate.Tally{Runs: 10, Ends: []simulate.Count{{Name: string(simulate.Paused), Runs: 4}, {Name: string(simulate.NoData), Runs: 1}}}
	if got := noVerdict(tally); got != 0.1 {
		t.Errorf("no verdict: %v", got)
	}
	if got := found(tally); !strings.Contains(got, "(paused "+percent(0.4)+") (no verdict "+percent(0.1)+")") {
		t.Error(got)
	}
	var out strings.Builder
	s := &study{ctx: t.Context(), runs: 1}
	if err := s.falseAlarms(&out); err != nil {
		t.Fatal(err)
	}
	if head, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(head, "| meshpol: paused | no verdict |") {
		t.Error(head)
	}
}
