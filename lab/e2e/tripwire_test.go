//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// patient are times at which the judge needs 15 s and more, so that what is faster is the tripwire.
func patient(args ...string) []string {
	return append(args, "--step0-min", "4s", "--step0-max", "60s", "--step-min", "30s", "--step-max", "60s", "--bake", "4s", "--fold-watch", "3s", "--tick", "15s")
}

// slowCart makes cart slower than the timeout of 20 ms for a share of its requests.
func slowCart(ratio float64) func(*scene) {
	return func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{slow("/", 60*time.Millisecond, ratio)}))
	}
}

// TestTripwireByRequest: most requests under the new policy fail, and the rollout goes back in seconds, with the rights
// of the docs' two roles. How many seconds is logged, not asserted: machines are noisy.
func TestTripwireByRequest(t *testing.T) {
	for _, c := range []struct {
		rps, failing float64
	}{{200, 1}, {200, 0.9}, {100, 1}, {100, 0.9}} {
		t.Run(fmt.Sprintf("%.0f new requests a second %.0f %% failing", c.rps/10, c.failing*100), func(t *testing.T) {
			s := newScene(t, c.rps, slowCart(c.failing))
			lab := s.account(append(documented(t, "meshpol"), documented(t, "meshpol-view")...))
			r, err := lab.Run(s.ctx, patient("rollout", "--steps", "10,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 20ms\n"))...)
			s.must(err)
			s.wantExit(r, 4)
			s.untouched()
			harm := referee.Harmed(s.records().Records, referee.Interval{}, code(504))
			if harm.First == nil {
				t.Fatal("no client saw any harm")
			}
			decided, out := at(t, r, "takingBack"), at(t, r, "neutralised")
			first := harm.First.Start()
			t.Logf("TRIP %.0f/s %.0f %%: first harmed request → decision %.2f s, → neutralised %.2f s later, last harmed request %.2f s after the decision, %d of %d harmed; %s",
				c.rps/10, c.failing*100, decided.Sub(first).Seconds(), out.Sub(decided).Seconds(), harm.Last.Start().Sub(decided).Seconds(), harm.Bad, harm.Total, reasonOf(r))
			if took := decided.Sub(first); took > 20*time.Second || !strings.Contains(reasonOf(r), "tripwire: gross breakage") {
				t.Errorf("decided after %s: %s", took, reasonOf(r))
			}
		})
	}
}

func at(t *testing.T, r *trial.Run, event string) time.Time {
	t.Helper()
	all := r.Named(event)
	if len(all) != 1 {
		t.Fatalf("%d events %s, want one\n%s", len(all), event, eventText(r))
	}
	return all[0].At
}

func reasonOf(r *trial.Run) string {
	for _, e := range slices.Concat(r.Named("takingBack"), r.Named("paused")) {
		return e.Text("reason")
	}
	return ""
}

// TestTripwireByInstance: half of the client pods fail completely, and a person is asked: nothing is taken back.
func TestTripwireByInstance(t *testing.T) {
	s := newScene(t, 0, slowCart(1))
	t.Cleanup(func() { s.must(s.lab.Scale(the.ctx, "web", 2)) })
	s.must(s.lab.Scale(s.ctx, "web", 6))
	load, err := s.lab.StartLoad(s.ctx, 160, time.Minute)
	s.must(err)
	defer load.Stop(s.ctx)
	r := s.meshpol(10, patient("rollout", "--by", "instance", "--steps", "50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 20ms\n"))...)
	trip := at(t, r, "tripped")
	log, err := load.Records(s.ctx)
	s.must(err)
	harm := referee.Harmed(log.Records, referee.Interval{}, code(504))
	if harm.First == nil || !strings.Contains(reasonOf(r), "harm found: tripwire") || len(r.Named("takingBack")) > 0 {
		t.Fatalf("%s\n%s", reasonOf(r), eventText(r))
	}
	t.Logf("TRIP by instance: first harmed request → decision %.2f s; %s", trip.Sub(harm.First.Start()).Seconds(), reasonOf(r))
	s.meshpol(0, "rollout", "abort", "cart-timeout", "-n", trial.Namespace)
	s.untouched()
}
