//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
)

// handwritten is what a careful person would have written for cart.
func handwritten(http string) string {
	return `{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"cart","namespace":"shop"},"spec":{"hosts":["cart.shop.svc.cluster.local"],"http":[` + http + `]}}`
}

const toCart = `"route":[{"destination":{"host":"cart.shop.svc.cluster.local"}}]`

func TestTimeoutCanaryByRequest(t *testing.T) {
	s := newScene(t, 300, nil)
	r := s.meshpol(0, append(quick("rollout", "--steps", "1,10,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n")), s.lenient("cart-timeout")...)...)
	log := s.records()
	s.shares(r, log, answered, told(2000))
	s.noErrors(log)
	if got := strings.Join(stepNames(r), " "); got != "step 0 1 % 10 % 50 % bake fold clean-up" {
		t.Errorf("steps: %s", got)
	}
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"2s"}`)}, s.objects())
	s.says(s.meshpol(0, "status", "cart-timeout", "-n", "shop"), "Succeeded")

	again := s.meshpol(0, quick("rollout", "-f", s.dir+"/cart-timeout.yaml")...)
	s.says(again, "unchanged")

	s.meshpol(0, "rollback", "cart-timeout", "-n", "shop")
	s.untouched()
}

func TestTimeoutTooShortIsTakenBack(t *testing.T) {
	s := newScene(t, 300, func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{slow("/", 60*time.Millisecond, 1)}))
	})
	r := s.meshpol(4, quick("rollout", "--steps", "1,10,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 20ms\n"))...)
	s.untouched()
	harm := referee.Harmed(s.records().Records, referee.Interval{}, code(504))
	t.Logf("harmed %d of %d requests, from the first to the last %.1f s", harm.Bad, harm.Total, harm.Last.Start().Sub(harm.First.Start()).Seconds())
	if harm.Bad == 0 || harm.Bad > 150 {
		t.Errorf("harmed %d requests, want some and few", harm.Bad)
	}
	s.says(r, "breach")
	s.says(s.meshpol(0, "status", "-n", "shop"), "RolledBack")
}

func TestRetryAndTimeoutMoveAsOne(t *testing.T) {
	s := newScene(t, 300, func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{{Path: "/", FailRatio: 0.05, FailAttempts: 1}}))
	})
	args := append(s.lenient("both"), "-f", s.file("Retry", "cart-retry", "cart", "  attempts: 2\n  perTryTimeout: 1s\n  on: [5xx, reset, connect-failure]\n"),
		"-f", s.file("Timeout", "cart-timeout", "cart", "  request: 3s\n"))
	r := s.meshpol(0, quick(append([]string{"rollout", "--name", "both", "--steps", "10,50"}, args...)...)...)
	s.shares(r, s.records(), answered, told(1000))
	s.same(map[string]string{"VirtualService/cart": handwritten(`{"retries":{"attempts":2,"perTryTimeout":"1s","retryOn":"5xx,reset,connect-failure"},` + toCart + `,"timeout":"3s"}`)}, s.objects())
}

func TestTimeoutCanaryByInstance(t *testing.T) {
	s := newScene(t, 200, nil)
	r := s.meshpol(0, append(quick("rollout", "--by", "instance", "--steps", "25,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n")), s.lenient("cart-timeout")...)...)
	log := s.records()
	s.noErrors(log)
	for _, step := range r.Steps() {
		if step.By != "instance" {
			continue
		}
		pods := map[uint16]map[bool]int{}
		for _, rec := range referee.Between(log.Records, referee.Interval{From: step.From, Until: step.To}) {
			if answered(rec) {
				if pods[rec.Client] == nil {
					pods[rec.Client] = map[bool]int{}
				}
				pods[rec.Client][told(2000)(rec)]++
			}
		}
		whole := 0
		for client, n := range pods {
			if n[true] > 0 && n[false] > 0 {
				t.Errorf("step %s: pod %s had both policies: %v", step.Name, log.Clients[client], n)
			}
			if n[true] > 0 {
				whole++
			}
		}
		want := map[string]int{"25 %": 1, "50 %": 2, "bake": 3}[step.Name]
		if whole != want {
			t.Errorf("step %s: %d of %d client pods under the new policy, want %d", step.Name, whole, len(pods), want)
		}
	}
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"2s"}`)}, s.objects())
	if pods, err := s.lab.CohortPods(s.ctx); err != nil || len(pods) > 0 {
		t.Errorf("pods still in a cohort: %v %v", pods, err)
	}
}

func TestCircuitBreakerGood(t *testing.T) {
	s := newScene(t, 200, nil)
	s.meshpol(0, append(quick("rollout", "--steps", "25,50", "-f", s.file("CircuitBreaker", "cart-breaker", "cart",
		"  maxConnections: 200\n  maxPendingRequests: 200\n  maxRequests: 500\n  outlierDetection:\n    consecutiveErrors: 50\n    interval: 10s\n    baseEjectionTime: 5s\n")), s.lenient("cart-breaker")...)...)
	s.noErrors(s.records())
	want := `{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"cart","namespace":"shop"},"spec":{"host":"cart.shop.svc.cluster.local","trafficPolicy":{"connectionPool":{"http":{"http1MaxPendingRequests":200,"http2MaxRequests":500},"tcp":{"maxConnections":200}},"outlierDetection":{"baseEjectionTime":"5s","consecutive5xxErrors":50,"interval":"10s"}}}}`
	s.same(map[string]string{"DestinationRule/cart": want}, s.objects())
	s.meshpol(0, "rollback", "cart-breaker", "-n", "shop")
	s.untouched()
}

func TestCircuitBreakerTooTightIsFoundOnTheFirstPod(t *testing.T) {
	s := newScene(t, 200, func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{slow("/", 60*time.Millisecond, 1)}))
	})
	s.meshpol(4, quick("rollout", "--steps", "25,50", "-f", s.file("CircuitBreaker", "cart-breaker", "cart",
		"  maxConnections: 1\n  maxPendingRequests: 1\n  maxRequests: 1\n"))...)
	s.untouched()
	log := s.records()
	hurt := map[uint16]bool{}
	for _, rec := range log.Records {
		if code(503)(rec) {
			hurt[rec.Client] = true
		}
	}
	if len(hurt) != 1 {
		t.Errorf("%d client pods were refused, want the first alone", len(hurt))
	}
}

func TestDirect(t *testing.T) {
	s := newScene(t, 200, nil)
	path := s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n")
	s.meshpol(0, "apply", "-f", path, "--bake", "6s", "--tick", "2s")
	s.noErrors(s.records())
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"2s"}`)}, s.objects())
	s.meshpol(0, "rollback", "cart-timeout", "-n", "shop")
	s.untouched()
	s.meshpol(0, "apply", "-f", path, "--bake", "1s", "--tick", "1s", "--no-analysis", "--prometheus", "http://127.0.0.1:1")
	s.meshpol(0, "rollback", "cart-timeout", "-n", "shop")
	s.untouched()
}
