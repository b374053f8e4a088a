package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// watchable is a plan of two steps that a tripwire can watch, and of some that it cannot.
func watchable() *rollout.Plan {
	step := func(kind metrics.StepKind, share float64, longest time.Duration) rollout.PlannedStep {
		return rollout.PlannedStep{Step: strategy.Step{Kind: kind, Max: longest, Exposure: policy.Exposure{Share: share}}}
	}
	return &rollout.Plan{Settings: rollout.Settings{Tick: 15 * time.Second}, Steps: []rollout.PlannedStep{
		step(metrics.StepStage, 0.5, time.Minute), step(metrics.StepWatch, 0.1, 2*time.Minute), step(metrics.StepProof, 0.5, 3*time.Minute),
		step(metrics.StepBake, 0.95, time.Hour), step(metrics.StepFold, 1, time.Hour),
	}}
}

func TestTripwireConfigFollowsTheAnalysis(t *testing.T) {
	alpha, refused := 0.02, v1alpha1.Percent(2)
	c := tripwireConfig(v1alpha1.Analysis{FalseRollback: &alpha, Allow: &v1alpha1.Allow{Refused: &refused}}, watchable())
	if c.Alpha != 0.002 || c.AllowRefused != 0.02 || c.Steps != 2 || c.PlannedSeconds != 300 {
		t.Errorf("%+v", c)
	}
	if c := tripwireConfig(v1alpha1.DefaultAnalysis(v1alpha1.Analysis{}), watchable()); c.Alpha != 0.001 || c.AllowRefused != 0 || c.P0 != 0.02 {
		t.Errorf("%+v", c)
	}
	for action, want := range map[string]string{"": "", "rollback": "", "pause": rollout.TripwirePause, "none": rollout.TripwireOff} {
		a := v1alpha1.DefaultAnalysis(v1alpha1.Analysis{Tripwire: &v1alpha1.Tripwire{Action: action}})
		if got := tripwireWord(a, false); got != want {
			t.Errorf("action %q: %q, want %q", action, got, want)
		}
		if tripwireWord(a, true) != rollout.TripwireOff {
			t.Errorf("action %q wins over the flag", action)
		}
	}
}

// The tripwire is armed where a step can be watched and the proxies may be read; where they may not, that is a note.
func TestTripwireIsArmed(t *testing.T) {
	w := newWorld(t)
	c, err := kube.New(&rest.Config{Host: w.URL}, kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pods := []policy.Pod{{Namespace: "shop", Name: "web-a", Proxy: true}}
	for name, tc := range map[string]struct {
		denies func(asked string) bool
		change func(*rollout.Plan)
		armed  bool
		note   string
	}{
		"by default":            {armed: true},
		"in its own namespace":  {denies: func(asked string) bool { return !strings.Contains(asked, `"namespace"`) }, armed: true},
		"nowhere":               {denies: func(string) bool { return true }, note: "breakage is found by the judge alone, in 20s"},
		"not wanted":            {change: func(p *rollout.Plan) { p.Settings.Tripwire = rollout.TripwireOff }},
		"nothing is judged":     {change: func(p *rollout.Plan) { p.Settings.NoAnalysis = true }},
		"no step to be watched": {change: func(p *rollout.Plan) { p.Steps = p.Steps[3:] }},
	} {
		t.Run(name, func(t *testing.T) {
			w.Handle("POST", "selfsubjectaccessreviews", -1, func(out http.ResponseWriter, in *http.Request) {
				text, _ := io.ReadAll(in.Body)
				out.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(out, `{"status": {"allowed": %t}}`, !tc.denies(string(text)))
			})
			defer w.Allow()
			r := &runner{session: &session{cluster: c, snapshot: &policy.Snapshot{Pods: pods}}, scrape: 5 * time.Second}
			plan, x := watchable(), rollout.Executor{}
			if tc.denies == nil {
				tc.denies = func(string) bool { return false }
			}
			if tc.change != nil {
				tc.change(plan)
			}
			if err := r.armTripwire(t.Context(), &x, v1alpha1.DefaultAnalysis(v1alpha1.Analysis{}), plan); err != nil {
				t.Fatal(err)
			}
			if (x.Proxies != nil) != tc.armed || !strings.Contains(strings.Join(plan.Notes, " "), tc.note) || (tc.note == "") != (len(plan.Notes) == 0) {
				t.Errorf("armed %t, notes %q", x.Proxies != nil, plan.Notes)
			}
		})
	}
}
