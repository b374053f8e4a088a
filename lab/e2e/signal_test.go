//go:build e2e

package e2e

import (
	"os"
	"syscall"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestASignalTakesBack interrupts a rollout wherever it can be: everything is as before, and no client noticed.
func TestASignalTakesBack(t *testing.T) {
	each(t, map[string]struct {
		at     moment
		signal os.Signal
	}{
		"Ctrl-C in step 0":           {judged("step 0"), os.Interrupt},
		"Ctrl-C while 10 % is held":  {judged("10 %"), os.Interrupt},
		"Ctrl-C in a barrier":        {wrote("10 %"), os.Interrupt},
		"Ctrl-C in the bake":         {judged("bake"), os.Interrupt},
		"Ctrl-C in the fold":         {wrote("fold"), os.Interrupt},
		"Ctrl-C in the watched fold": {judged("fold"), os.Interrupt},
		"SIGTERM while 10 % is held": {judged("10 %"), syscall.SIGTERM},
	}, func(t *testing.T, c struct {
		at     moment
		signal os.Signal
	}) {
		s := newScene(t, 100, nil)
		r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
		s.until(r, c.at)
		s.must(r.Signal(c.signal))
		s.ends(r, 5)
		s.untouched()
		s.noErrors(s.records())
		s.says(r, "interrupted by a signal")
		s.phase("cart-timeout", "RolledBack")
	})
}

// TestASignalTakesBackUserObjects does the same with an object that was there before.
func TestASignalTakesBackUserObjects(t *testing.T) {
	each(t, map[string]moment{"10 %": judged("10 %"), "fold": judged("fold")}, func(t *testing.T, at moment) {
		s := newScene(t, 100, userCart)
		r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
		s.until(r, at)
		s.must(r.Signal(os.Interrupt))
		s.ends(r, 5)
		s.untouched()
		s.noErrors(s.records())
	})
}

// userCart is a VirtualService that a user has for cart, with a route of its own for one path.
func userCart(s *scene) {
	s.virtualService("cart", []any{"cart"},
		map[string]any{"name": "list", "match": []any{map[string]any{"uri": map[string]any{"prefix": "/list"}}}, "route": to("cart"), "timeout": "19s"},
		map[string]any{"route": to("cart")})
}

func TestASignalPauses(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(short("rollout", "--on-signal", "pause", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	s.must(r.Signal(os.Interrupt))
	s.ends(r, 10)
	s.says(r, "interrupted by a signal")
	st := s.status("cart-timeout")
	for _, text := range []string{"Paused", "10 % of requests", "meshpol rollout resume cart-timeout -n shop"} {
		s.says(st, text)
	}
	s.says(s.plain(*s.lab, 7, short("rollout", "-f", s.dir+"/cart-timeout.yaml")...), "meshpol rollout resume cart-timeout -n shop")
	s.meshpol(0, "rollout", "resume", "cart-timeout", "-n", trial.Namespace)
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"20s"}`)}, s.objects())
	s.noErrors(s.records())
}
