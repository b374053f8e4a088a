//go:build e2e

package e2e

import (
	"os"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestKilledRunner kills meshpol as a power cut would; whoever comes next needs neither its files nor its machine.
func TestKilledRunner(t *testing.T) {
	type ending struct {
		at   moment
		args []string
		want string // what is left of cart's VirtualService; empty: what was before
	}
	resume := func(more ...string) []string {
		return append([]string{"rollout", "resume", "cart-timeout", "-n", trial.Namespace}, more...)
	}
	rollback := func(more ...string) []string {
		return append([]string{"rollback", "cart-timeout", "-n", trial.Namespace}, more...)
	}
	takeOver := []string{"--take-over", "its machine has died"}
	folded := handwritten("{" + toCart + `,"timeout":"20s"}`)
	each(t, map[string]ending{
		"in step 0 and taken back":            {judged("step 0"), rollback(takeOver...), ""},
		"in step 0 and resumed":               {wrote("step 0"), resume(takeOver...), folded},
		"at 10 % and resumed once it is free": {judged("10 %"), resume(), folded},
		"at 10 % and taken back":              {wrote("10 %"), rollback(takeOver...), ""},
		"in the fold and resumed":             {wrote("fold"), resume(takeOver...), folded},
		"in the fold and taken back":          {judged("fold"), rollback(takeOver...), ""},
	}, func(t *testing.T, c ending) {
		s := newScene(t, 100, nil)
		file := s.timeout("cart")
		r := s.begin(short("rollout", "-f", file)...)
		s.until(r, c.at)
		s.must(r.Kill())
		s.must(os.Remove(file))
		st := s.status("cart-timeout")
		for _, text := range []string{"in force", "last sign of life", "meshpol rollout"} {
			s.says(st, text)
		}
		s.meshpol(0, c.args...)
		s.noErrors(s.records())
		if c.want == "" {
			s.untouched()
			s.phase("cart-timeout", "RolledBack")
			return
		}
		s.same(map[string]string{"VirtualService/cart": c.want}, s.objects())
		s.phase("cart-timeout", "Succeeded")
	})
}

// TestKilledByInstance leaves labels on pods behind, which go with the way back.
func TestKilledByInstance(t *testing.T) {
	s := newScene(t, 100, userCart)
	r := s.begin(short("rollout", "--by", "instance", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	s.must(r.Kill())
	if pods, err := s.lab.CohortPods(s.ctx); err != nil || len(pods) != 1 {
		t.Errorf("pods in the cohort of the killed run: %v %v, want one", pods, err)
	}
	s.meshpol(0, "rollback", "cart-timeout", "-n", trial.Namespace, "--take-over", "its machine has died")
	s.untouched()
	s.noErrors(s.records())
}
