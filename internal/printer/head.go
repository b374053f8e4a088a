package printer

import "github.com/meshpol/meshpol/pkg/rollout"

// headOf is the head of an event. The event interface is sealed and has no accessor, so the cases are listed;
// TestEveryEventIsRendered fails where one is missing.
func headOf(e rollout.Event) rollout.Head {
	switch e := e.(type) {
	case rollout.Started:
		return e.Head
	case rollout.Rehearsed:
		return e.Head
	case rollout.StepStarted:
		return e.Head
	case rollout.Wrote:
		return e.Head
	case rollout.Labelled:
		return e.Head
	case rollout.Proved:
		return e.Head
	case rollout.Judged:
		return e.Head
	case rollout.Tripped:
		return e.Head
	case rollout.StepPassed:
		return e.Head
	case rollout.Resumed:
		return e.Head
	case rollout.PausedEvent:
		return e.Head
	case rollout.TakingBack:
		return e.Head
	case rollout.Neutralised:
		return e.Head
	case rollout.Kept:
		return e.Head
	case rollout.Ended:
		return e.Head
	case rollout.Warned:
		return e.Head
	}
	return rollout.Head{}
}
