//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// hanging are requests that the clients gave up after their own 10 s.
func hanging(r referee.Record) bool { return r.Outcome == referee.Timeout }

// userTimeout is the old policy: cart's requests end after 300 ms.
func userTimeout(s *scene) {
	s.virtualService("cart", []any{"cart"}, map[string]any{"route": to("cart"), "timeout": "300ms"})
}

// TestUpstreamHangs: the old policy ends requests after 300 ms, the new one lets them hang. What hangs is counted when it
// ends, so that the only sign is what is missing; it holds the step and in the end takes it back.
func TestUpstreamHangs(t *testing.T) {
	each(t, map[string]struct {
		ratio float64
		says  string
	}{
		"wholly":          {1, "silent: the new side counted "},
		"for every other": {0.5, "those that hang are counted only when they end"},
	}, func(t *testing.T, c struct {
		ratio float64
		says  string
	}) {
		s := newScene(t, 300, userTimeout)
		args := quick("rollout", "--no-tripwire", "-f", s.file("Timeout", "cart-harm", "cart", "  request: 1m\n"))
		r := s.begin(append(args, "--steps", "20,50", "--step-min", "6s", "--step-max", "8s")...)
		s.until(r, begun("20 %"))
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{{Path: "/", HangRatio: c.ratio}}))
		s.ends(r, 6)
		s.says(r, "inconclusive: ")
		s.says(r, c.says)
		s.untouched()
		time.Sleep(10 * time.Second) // the last ones that hang
		v := measure(r, s.records(), hanging)
		t.Log(v)
		t.Log(v.reason)
		v.check(s, time.Minute, 2000)
		s.phase("cart-harm", "RolledBack")
	})
}

// TestOutageOfBothCohorts: nine of ten requests fail for everybody for 15 s. That is no harm of the policy: it is said, and
// the rollout waits for better times and goes on. Whoever states no SLO sees nothing but errors of both sides.
func TestOutageOfBothCohorts(t *testing.T) {
	each(t, map[string]struct{ step, says string }{
		"in the proof": {"50 %", "shared incident, the old side is as bad"}, "in the bake": {"bake", "shared incident"},
	}, func(t *testing.T, c struct{ step, says string }) {
		s := newScene(t, 300, nil)
		args := append(quick("rollout", "--steps", "10,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 20s\n")), s.lenient("cart-timeout")...)
		r := s.begin(append(args, "--bake", "8s", "--step-min", "8s", "--step-max", "12s")...)
		s.until(r, begun(c.step))
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{{Path: "/", FailRatio: 0.9, FailCode: 500}}))
		began := time.Now()
		time.Sleep(15 * time.Second)
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, nil))
		s.ends(r, 0)
		s.says(r, c.says)
		log := s.records()
		outage := referee.Harmed(log.Records, referee.Interval{}, code(500))
		if other := referee.Harmed(log.Records, referee.Interval{}, referee.Bad); other.Bad != outage.Bad || outage.Bad == 0 {
			t.Errorf("%d errors, %d of them the app's", other.Bad, outage.Bad)
		}
		t.Logf("%d of %d requests failed on both sides, from %.1f s after the outage began for %.1f s; the rollout took %.0f s", outage.Bad, outage.Total,
			outage.First.Start().Sub(began).Seconds(), outage.Span().Seconds(), r.Ended.Sub(r.Started).Seconds())
		for _, e := range r.Events() {
			if e.Event == "judged" && strings.Contains(reason(e), "shared incident") || e.Event == "stepPassed" {
				t.Logf("%.0f s after the outage began: %s %s", e.At.Sub(began).Seconds(), e.Text("step"), reason(e))
			}
		}
	})
}

// TestRefusals: what the policy is allowed to refuse is no harm, what it refuses beyond is.
func TestRefusals(t *testing.T) {
	allowed := func(t *testing.T, share float64, percent string, exit int) (*scene, *trial.Run) {
		t.Helper()
		s := newScene(t, 300, func(s *scene) { s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{cut(0, share).rule})) })
		doc := s.document("apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: cart-harm, namespace: shop}\nspec: {strategy: {canary: {}}, " +
			"analysis: {allow: {refused: " + percent + "}, passMarginMax: 20, latencyMarginMax: 3, onInconclusive: promote}}\n")
		args := quick("rollout", "--steps", "10,50", "-f", s.file("Timeout", "cart-harm", "cart", "  request: 200ms\n"), "-f", doc)
		return s, s.meshpol(exit, append(args, "--step-max", "16s")...)
	}
	t.Run("within", func(t *testing.T) {
		s, r := allowed(t, 0.02, "3%", 0)
		refused := referee.Harmed(s.records().Records, referee.Interval{}, code(504))
		t.Logf("%d of %d requests refused by design", refused.Bad, refused.Total)
		if refused.Bad == 0 {
			t.Error("the policy refused nothing")
		}
		for _, step := range r.Steps() {
			t.Logf("%s: %s", step.Name, step.Reason)
		}
	})
	t.Run("beyond", func(t *testing.T) {
		s, r := allowed(t, 0.2, "0.5%", 4)
		s.says(r, "breach")
		s.untouched()
		v := measure(r, s.records(), code(504))
		t.Log(v)
		t.Log(v.reason)
		v.check(s, 80*time.Second, 900)
	})
}
