package strategy

import "github.com/meshpol/meshpol/pkg/policy/v1alpha1"

// Strategy is a row of the list of strategies.
type Strategy struct {
	// Name is the preset's name on the command line, Field its field in a Rollout.
	Name, Field string
	// Available tells whether this release can plan it.
	Available bool
	// Doc is one line for lists.
	Doc string
	// Preset is the strategy with all of its defaults.
	Preset v1alpha1.Strategy
}

// All lists every strategy.
func All() []Strategy {
	return []Strategy{
		{"canary", "canary", true, "a growing share of the requests or instances", v1alpha1.Strategy{Canary: &v1alpha1.Canary{}}},
		{"direct", "direct", true, "everything at once, verified and judged", v1alpha1.Strategy{Direct: &v1alpha1.Direct{}}},
		{"blue-green", "blueGreen", false, "both policies installed, one write switches", v1alpha1.Strategy{BlueGreen: &v1alpha1.BlueGreen{}}},
		{"rolling", "rolling", false, "batch by batch", v1alpha1.Strategy{Rolling: &v1alpha1.Rolling{}}},
		{"ab", "ab", false, "a chosen population for a time", v1alpha1.Strategy{AB: &v1alpha1.AB{}}},
	}
}

// Preset is the Rollout that exists without a file, defaults filled in.
func Preset(name string) (v1alpha1.RolloutSpec, bool) {
	for _, s := range All() {
		if s.Name == name {
			return v1alpha1.DefaultRolloutSpec(v1alpha1.RolloutSpec{Strategy: s.Preset}), true
		}
	}
	return v1alpha1.RolloutSpec{}, false
}
