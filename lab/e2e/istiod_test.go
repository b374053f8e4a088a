//go:build e2e

package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// withoutIstiod takes istiod away until the end of the test; what is returned brings it back at once.
func (s *scene) withoutIstiod() (back func()) {
	s.Helper()
	here := false
	back = func() {
		if !here {
			here = true
			ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 3*time.Minute)
			defer cancel()
			s.scaleIstiod(ctx, 1)
			s.connected(ctx)
		}
	}
	s.Cleanup(back)
	s.scaleIstiod(s.ctx, 0)
	return back
}

// TestIstiodAway: Istio's own validation cannot be asked, so that nothing can be written, and nothing is.
func TestIstiodAway(t *testing.T) {
	s := newScene(t, 0, userCart)
	file := s.timeout("cart")
	back := s.withoutIstiod()
	for _, command := range []string{"rollout", "apply"} {
		r := s.plain(*s.lab, 1, command, "-f", file)
		s.says(r, "istiod")
		s.says(r, "nothing was written")
		s.notSays(r, "whether it took place is not known")
	}
	s.plain(*s.lab, 0, "plan", "-f", file)
	back()
	s.nothingWritten()
}

// TestIstiodGoesInAHold: what is in force stays in force; the way back waits for istiod.
func TestIstiodGoesInAHold(t *testing.T) {
	s := newScene(t, 100, userCart)
	r := s.begin(short("rollout", "--step-min", "60s", "--step-max", "60s", "--propagation-timeout", "5s", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	back := s.withoutIstiod()
	s.must(r.Signal(os.Interrupt))
	s.until(r, warned("trying again"))
	st := s.status("cart-timeout")
	for _, text := range []string{"RollingBack", "10 % of requests", "in force"} {
		s.says(st, text)
	}
	back()
	s.ends(r, 5)
	s.untouched()
	s.noErrors(s.records())
	s.phase("cart-timeout", "RolledBack")
}

// TestIstiodGoesBeforeABarrier: nobody can prove the write, so that it is taken back as soon as that can be written.
func TestIstiodGoesBeforeABarrier(t *testing.T) {
	s := newScene(t, 100, userCart)
	r := s.begin(short("rollout", "--propagation-timeout", "5s", "-f", s.timeout("cart"))...)
	s.until(r, judged("step 0"))
	thaw := s.freezeIstiod(r)
	s.until(r, named("takingBack"))
	thaw()
	s.ends(r, 6)
	s.untouched()
	s.noErrors(s.records())
	s.phase("cart-timeout", "RolledBack")
}

// TestIstiodAndRunnerGo: the runner gives up while istiod is away; one command ends it once istiod is back.
func TestIstiodAndRunnerGo(t *testing.T) {
	each(t, map[string][]string{
		"rollback": {"rollback", "cart-timeout", "-n", trial.Namespace},
		"resume":   {"rollout", "resume", "cart-timeout", "-n", trial.Namespace},
	}, func(t *testing.T, last []string) {
		s := newScene(t, 100, userCart)
		r := s.begin(short("rollout", "--step-min", "30s", "--step-max", "40s", "-f", s.timeout("cart"))...)
		s.until(r, judged("10 %"))
		back := s.withoutIstiod()
		s.must(r.Signal(os.Interrupt))
		s.until(r, warned("trying again"))
		for range 2 { // really
			s.must(r.Signal(os.Interrupt))
			time.Sleep(200 * time.Millisecond)
		}
		s.ends(r, 9)
		s.says(r, "meshpol rollback cart-timeout -n shop")
		s.says(s.status("cart-timeout"), "RollingBack")
		back()
		wantExit := map[string]int{"rollback": 0, "rollout": 5}[last[0]]
		s.meshpol(wantExit, last...)
		s.untouched()
		s.noErrors(s.records())
	})
}
