package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// TestTheOnlyClientPodIsNotTaken: with it nobody would be left to compare with. Who goes without a verdict anyhow may.
func TestTheOnlyClientPodIsNotTaken(t *testing.T) {
	step := PlannedStep{Step: strategy.Step{Name: "1 %", Kind: metrics.StepWatch, Exposure: policy.Exposure{Mode: policy.Enforce, By: policy.ByInstance, Share: 0.01}}, Labels: &mesh.CohortLabel{}}
	for name, c := range map[string]struct {
		settings Settings
		facts    Facts
		refused  bool
	}{
		"one pod":             {Settings{}, Facts{Candidates: []string{"shop/web-a"}}, true},
		"two pods":            {Settings{}, Facts{Candidates: []string{"shop/web-a", "shop/web-b"}}, false},
		"not judged":          {Settings{NoAnalysis: true}, Facts{Candidates: []string{"shop/web-a"}}, false},
		"promoted without":    {Settings{OnInconclusive: "promote"}, Facts{Candidates: []string{"shop/web-a"}}, false},
		"the others are gone": {Settings{}, Facts{Candidates: []string{"shop/web-a"}, Cohort: []string{"shop/web-a"}}, false},
	} {
		plan := &Plan{Settings: c.settings, Steps: []PlannedStep{step}}
		back, refused := Next(plan, State{Phase: Progressing, Steps: 1}, c.facts, time.Now()).(ActTakeBack)
		if refused != c.refused || refused && (back.Cause != CauseInconclusive || !strings.Contains(back.Reason, "--by request")) {
			t.Errorf("%s: %v %+v", name, refused, back)
		}
	}
}
