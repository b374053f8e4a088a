// Package strategy plans the order and the width of a rollout. Steps are plain data: printable, hashable, resumable.
package strategy

import (
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Step is one width of a rollout with what ends it.
type Step struct {
	// Name is what progress lines say: "step 0", "1 %", "bake", "fold".
	Name string `json:"name"`
	// Kind is what the judge does here.
	Kind metrics.StepKind `json:"kind"`
	// Exposure is how much is in force.
	Exposure policy.Exposure `json:"exposure"`
	// Min and Max bound the time of the step.
	Min time.Duration `json:"min"`
	Max time.Duration `json:"max"`
	// MinRequests is the number of requests of the new side without which there is no verdict.
	MinRequests float64 `json:"minRequests"`
	// Pause waits before the step begins: for PauseFor, or until somebody promotes where PauseFor is 0.
	Pause    bool          `json:"pause,omitempty"`
	PauseFor time.Duration `json:"pauseFor,omitempty"`
	// Dropped tells that the step is left out, since the traffic of the day lets it see too little. It stays in the list, so
	// that what is approved does not depend on traffic.
	Dropped bool `json:"dropped,omitempty"`
	// Notes are findings that do not stop (code: text), such as a proof at a small share.
	Notes []string `json:"notes,omitempty"`
}

// Taken are the steps that are not left out.
func Taken(steps []Step) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Dropped })
}
