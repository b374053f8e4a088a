package main

import (
	"encoding/json"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// write is one write to the mesh with the event that proved it.
type write struct {
	kind, why string
	wrote     time.Time
	proved    time.Time
	// before is when the write before it was proved, or the run began; after is when the run ended.
	before, after time.Time
	// decided is when the way back was decided on; only for the write that neutralises.
	decided time.Time
}

// writesOf pairs a run's writes with their proofs. A write without a proof of its own is left out.
func writesOf(r *trial.Run) []write {
	var out []write
	var open *write
	var decided time.Time
	before := r.Started
	for _, e := range r.Events() {
		switch e.Event {
		case "takingBack":
			decided = e.At
		case "wrote":
			open = &write{kind: objectKind(e), why: e.Text("why"), wrote: e.At, before: before, after: r.Ended}
		case "proved", "neutralised":
			if open == nil {
				continue
			}
			open.proved, before = e.At, e.At
			if e.Event == "neutralised" {
				open.decided = decided
			}
			out, open = append(out, *open), nil
		}
	}
	return out
}

func objectKind(e trial.Event) string {
	var line struct {
		Object struct{ Kind string } `json:"object"`
	}
	b, err := json.Marshal(e.Fields)
	if err == nil {
		err = json.Unmarshal(b, &line)
	}
	if err != nil {
		return ""
	}
	return line.Object.Kind
}
