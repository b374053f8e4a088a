package policy

import (
	"fmt"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// Mode is how far a policy goes for its population.
type Mode string

// The modes. Staged installs the split with both halves on the old policy: it only counts.
const (
	Staged  Mode = "staged"
	Observe Mode = "observe"
	Enforce Mode = "enforce"
)

// By is the kind of population an exposure has.
type By string

// The populations. All is the fold: no split is left.
const (
	ByRequest  By = "request"
	ByInstance By = "instance"
	ByMatch    By = "match"
	All        By = "all"
)

// Exposure is how much of a change is in force. Strategies produce exposures, meshes compile them.
type Exposure struct {
	Mode Mode `json:"mode"`
	By   By   `json:"by"`
	// Share is the share asked for, 0 to 1, by request and by instance. By instance it is rounded up to whole pods.
	Share float64 `json:"share,omitempty"`
	// Window is the cohort of requests; only by request.
	Window Window `json:"window,omitzero"`
	// Match is the chosen population; only by match.
	Match []v1alpha1.ABMatch `json:"match,omitempty"`
}

// String is what progress lines say: "25 % of requests", "staged, identical halves".
func (e Exposure) String() string {
	switch {
	case e.Mode == Staged:
		return "staged, identical halves"
	case e.By == All:
		return "all traffic"
	case e.By == ByMatch:
		return "chosen requests"
	case e.By == ByInstance:
		return fmt.Sprintf("%s of client pods", percent(e.Share))
	default:
		return fmt.Sprintf("%s of requests", percent(e.Share))
	}
}

func percent(share float64) string { return fmt.Sprintf("%.4g %%", share*100) }
