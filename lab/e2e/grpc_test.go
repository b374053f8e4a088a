//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// callScene is a scene whose clients call the gRPC service, long enough for Prometheus to know of it.
func callScene(t *testing.T, rps float64, rule app.Rule) *scene {
	t.Helper()
	s := newScene(t, 0, func(s *scene) { s.behaves("stock", rule) })
	load, err := s.lab.StartCalls(s.ctx, rps, 5*time.Minute)
	s.must(err)
	s.load = load
	t.Cleanup(func() { load.Stop(t.Context()) })
	s.knows("stock", 100)
	return s
}

// knows waits until Prometheus has so many requests of a service's clients, beyond what it had before.
func (s *scene) knows(service string, requests int) {
	s.Helper()
	expression := fmt.Sprintf(ofClients, "destination_service", service)
	before := s.counts(expression, "destination_service")
	s.must(trial.Eventually(s.ctx, 40*time.Second, func() (bool, error) {
		grown := 0
		for host, n := range s.counts(expression, "destination_service") {
			grown += n - before[host]
		}
		return grown >= requests, nil
	}))
}

// slowCalls makes a share of the calls slow.
func slowCalls(share float64, by time.Duration) app.Rule {
	return app.Rule{SlowRatio: share, SlowDelay: jsonhttp.Duration(by)}
}

// TestGRPCFailuresByRequest: a timeout makes calls fail with status 14 and code 200. Only Istio's metrics with the tag see
// it.
func TestGRPCFailuresByRequest(t *testing.T) {
	s := callScene(t, 200, slowCalls(0.5, 300*time.Millisecond))
	r := s.meshpol(4, quick("rollout", "--steps", "5,50", "-f", s.file("Timeout", "stock-timeout", "stock", "  request: 100ms\n"))...)
	s.untouched()
	log := s.records()
	failed := referee.Select(log.Records, func(r referee.Record) bool { return r.Outcome != referee.GRPC(0) })
	t.Logf("%d of %d calls were harmed", len(failed), len(log.Records))
	if len(failed) == 0 || len(failed) > len(log.Records)/10 {
		t.Errorf("%d of %d calls failed", len(failed), len(log.Records))
	}
	s.says(r, "taken back")
}

// TestGRPCGood: a timeout that nobody meets goes through, counted at every step by request and in the fold.
func TestGRPCGood(t *testing.T) {
	s := callScene(t, 200, app.Rule{})
	s.meshpol(0, append(quick("rollout", "--steps", "10,50", "-f", s.file("Timeout", "stock-timeout", "stock", "  request: 2s\n")), s.lenient("stock-timeout")...)...)
	log := s.records()
	if failed := referee.Select(log.Records, func(r referee.Record) bool { return r.Outcome != referee.GRPC(0) }); len(failed) > 0 {
		t.Errorf("%d of %d calls failed, the first with %s", len(failed), len(log.Records), failed[0].Outcome)
	}
	s.meshpol(0, "rollback", "stock-timeout", "-n", "shop")
	s.untouched()
}

// TestGRPCThatNobodySees: the proxies' route statistics alone cannot judge gRPC. That is said in step 0, and nothing is
// exposed.
func TestGRPCThatNobodySees(t *testing.T) {
	s := callScene(t, 100, app.Rule{})
	path, err := trial.WriteFile(s.dir, "rollout.yaml", "apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: stock-timeout, namespace: "+trial.Namespace+"}\n"+
		"spec: {strategy: {canary: {}}, analysis: {onNoData: rollback}}\n")
	s.must(err)
	r := s.meshpol(6, quick("rollout", "--scrape", "proxies", "-f", path, "-f", s.file("Timeout", "stock-timeout", "stock", "  request: 2s\n"))...)
	s.says(r, "failures of gRPC come with code 200")
	for _, e := range r.Events() {
		if e.Event == "stepStarted" && !strings.Contains(fmt.Sprint(e.Fields["name"]), "step 0") {
			t.Errorf("a step began: %v", e.Fields)
		}
	}
	s.untouched()
}

// TestApplyKnowsTheTimeBefore: 8 % of the requests fail before and after. That is no harm of the policy; without the past
// more than 5 % would be.
func TestApplyKnowsTheTimeBefore(t *testing.T) {
	s := newScene(t, 200, func(s *scene) { s.behaves("cart", app.Rule{FailRatio: 0.08}) })
	s.knows("cart", 3000)
	path := s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n")
	plan := s.meshpol(0, "plan", "-f", path, "--history", "1m", "-o", "json")
	s.says(plan, "requestsPerSecond")
	s.meshpol(0, "apply", "-f", path, "--bake", "6s", "--tick", "2s", "--history", "1m")
	s.meshpol(0, "rollback", "cart-timeout", "-n", "shop")
	s.untouched()
	r := s.meshpol(4, "apply", "-f", path, "--bake", "6s", "--tick", "2s", "--history", "0")
	s.says(r, "nothing is known of the time before")
	s.untouched()
}
