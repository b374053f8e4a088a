package validate

import (
	"errors"
	"slices"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// checkRev stands in for a run's own rev: nothing that is compiled here is ever written.
const checkRev = "0000000000"

// notExpressible compiles every target at the exposures that a rollout would give it. What the mesh refuses is a finding
// with the mesh's own code. Targets with an error already are left out: the mesh would only say it again.
func notExpressible(f Facts) []Finding {
	if f.Mesh == nil || !f.Mesh.Detect(f.Snapshot) {
		return nil
	}
	var out []Finding
	for _, c := range f.Changes {
		if slices.ContainsFunc(f.Found, func(found Finding) bool { return found.Severity == Error && concernsChange(found, c) }) {
			continue
		}
		c.Rev = checkRev
		for _, e := range exposures(f, c) {
			_, err := f.Mesh.Compile(f.Snapshot, c, e)
			if err != nil {
				out = append(out, fromCompile(c, err))
				break
			}
		}
	}
	return out
}

func concernsChange(found Finding, c policy.Change) bool {
	return slices.ContainsFunc(c.Policies, func(p policy.Policy) bool { return p.Key == found.Policy })
}

// exposures are the fold and, where the files say how the target is rolled out, the first split.
func exposures(f Facts, c policy.Change) []policy.Exposure {
	out := []policy.Exposure{{Mode: policy.Enforce, By: policy.All}}
	for _, r := range f.Set.Rollouts {
		if !slices.ContainsFunc(named(f.Set, r), func(p policy.Policy) bool { return p.Key == c.Policies[0].Key }) {
			continue
		}
		steps, err := strategy.Plan(strategy.Input{Rollout: r.Object.Spec, Policies: c.Policies, Seed: c.Target.String()})
		if err == nil && steps[0].Exposure.By != policy.All {
			out = append(out, steps[0].Exposure)
		}
	}
	return out
}

func fromCompile(c policy.Change, err error) Finding {
	var u *policy.UnsupportedError
	if !errors.As(err, &u) {
		return about(c.Policies[0], "", "compiling "+c.Target.String()+": "+err.Error(), "this is a fault of meshpol: please report it")
	}
	message := u.Reason
	if u.Mesh != "" {
		message = u.Mesh + ": " + message
	}
	for _, p := range c.Policies {
		if p.Key == u.Policy {
			found := about(p, u.Field, message, u.Next)
			found.Code = u.Code
			return found
		}
	}
	return Finding{Code: u.Code, Policy: u.Policy, Field: u.Field, Message: message, Next: u.Next}
}
