package validate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
	"github.com/meshpol/meshpol/pkg/validate"
)

const examples = "../../examples"

// TestExamplesAreClean reads every folder of examples as a user would, checks it offline, and plans it.
func TestExamplesAreClean(t *testing.T) {
	entries, err := os.ReadDir(examples)
	if err != nil || len(entries) < 8 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		folder := filepath.Join(examples, e.Name())
		t.Run(e.Name(), func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(folder, "README.md")); err != nil {
				t.Error(err)
			}
			paths := []string{folder}
			if e.Name() == "kinds" {
				paths, _ = filepath.Glob(folder + "/*.yaml") // each for itself: together they contradict each other
			}
			for _, path := range paths {
				set, err := policy.Load(policy.LoadOptions{Paths: []string{path}})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string(nil), lines(validate.Check(set, nil, nil))); diff != "" {
					t.Error(diff)
				}
				for _, r := range set.Rollouts {
					if _, err := strategy.Plan(strategy.Input{Rollout: r.Object.Spec, Policies: set.Policies}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestEveryKindHasAnExample wants the file of each kind, with that kind in it.
func TestEveryKindHasAnExample(t *testing.T) {
	kinds := []string{policy.RolloutKind}
	for _, k := range policy.Kinds() {
		kinds = append(kinds, k.Name)
	}
	files, err := filepath.Glob(examples + "/kinds/*.yaml")
	if err != nil || len(files) != len(kinds) {
		t.Errorf("%d files for %d kinds: %v", len(files), len(kinds), err)
	}
	for _, kind := range kinds {
		set, err := policy.Load(policy.LoadOptions{Paths: []string{filepath.Join(examples, "kinds", strings.ToLower(kind)+".yaml")}})
		if err != nil {
			t.Error(err)
			continue
		}
		found := len(set.Rollouts) > 0 && kind == policy.RolloutKind
		if !found && !slices.ContainsFunc(set.Policies, func(p policy.Policy) bool { return p.Kind == kind }) {
			t.Errorf("the example of %s holds another kind", kind)
		}
	}
}

// TestTasksFitTheShop checks the tasks against a cluster like the lab's, with Istio's own compiler.
func TestTasksFitTheShop(t *testing.T) {
	for _, task := range []string{"timeout", "retry", "circuit-breaker", "retry-and-timeout", "canary", "direct"} {
		t.Run(task, func(t *testing.T) {
			set, err := policy.Load(policy.LoadOptions{Paths: []string{filepath.Join(examples, task)}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string(nil), lines(validate.Check(set, shop(), istio.New()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
