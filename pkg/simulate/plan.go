package simulate

import (
	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// NewPlan is a plan that writes nothing: its steps are there, and what a mesh would make of them is not.
func NewPlan(in rollout.PlanInput) *rollout.Plan {
	p := &rollout.Plan{Name: in.Name, Strategy: in.Strategy, Change: in.Change, Settings: in.Settings, Host: in.Host, Documents: in.Documents}
	for _, s := range in.Steps {
		planned := rollout.PlannedStep{Step: s}
		if s.Exposure.By == policy.ByInstance {
			planned.Labels = &mesh.CohortLabel{}
		}
		p.Steps = append(p.Steps, planned)
	}
	return p
}
