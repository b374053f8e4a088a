package rollout_test

import (
	"testing"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// TestRequestsAreCountedByStep wants every request of a run in exactly one step, or before the first or after the last.
func TestRequestsAreCountedByStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.tweak = func(x *rollout.Executor) {
			node := x.Objects.(*fakemesh.Node)
			x.Requests = func() map[string]int { return map[string]int{"call": node.Calls()} }
		}
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		sum := 0
		for _, e := range fakemesh.Of[rollout.StepPassed](b.sink) {
			if e.Requests <= 0 {
				t.Errorf("step %s: %d requests", e.Step, e.Requests)
			}
			sum += e.Requests
		}
		ended := fakemesh.Of[rollout.Ended](b.sink)
		if len(ended) != 1 || ended[0].Requests["call"] <= sum {
			t.Errorf("ended %+v; the steps have %d requests", ended, sum)
		}
	})
}
