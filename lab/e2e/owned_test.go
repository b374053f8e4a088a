//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// richRoutes is a VirtualService with nearly all that users write: names, header and regex matches, a rewrite, CORS, a
// mirror, a redirect, a direct response, weights.
const richRoutes = `{"apiVersion":"networking.istio.io/v1","kind":"VirtualService",
"metadata":{"name":"cart","namespace":"shop","labels":{"team":"shop"},"annotations":{"owner":"shop@example.com"}},
"spec":{"hosts":["cart","cart.shop.svc.cluster.local"],"http":[
 {"name":"old","match":[{"uri":{"exact":"/old"}}],"redirect":{"uri":"/new"}},
 {"name":"gone","match":[{"uri":{"exact":"/gone"}}],"directResponse":{"status":410}},
 {"name":"beta","match":[{"headers":{"x-beta":{"exact":"1"}}},{"uri":{"regex":"/beta/[0-9]+"},"queryParams":{"b":{"exact":"1"}}}],
  "rewrite":{"uri":"/"},"route":[{"destination":{"host":"cart","subset":"v1"}}],"timeout":"11s"},
 {"name":"list","match":[{"uri":{"prefix":"/list"},"method":{"exact":"GET"}}],
  "corsPolicy":{"allowOrigins":[{"exact":"https://shop.example.com"}],"allowMethods":["GET"],"maxAge":"24h"},
  "headers":{"request":{"set":{"x-list":"1"}}},
  "mirror":{"host":"user-service"},"mirrorPercentage":{"value":1},
  "route":[{"destination":{"host":"cart","subset":"v1"},"weight":90},{"destination":{"host":"cart"},"weight":10}],
  "retries":{"attempts":2,"retryOn":"5xx","perTryTimeout":"9s"}},
 {"route":[{"destination":{"host":"cart"}}]}]}}`

// richRule has subsets and a policy of its own on both levels.
const richRule = `{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule",
"metadata":{"name":"cart","namespace":"shop","annotations":{"owner":"shop@example.com"}},
"spec":{"host":"cart","trafficPolicy":{"loadBalancer":{"simple":"LEAST_REQUEST"},"connectionPool":{"http":{"idleTimeout":"30s"}}},
 "subsets":[{"name":"v1","labels":{"version":"v1"},"trafficPolicy":{"connectionPool":{"tcp":{"maxConnections":300}}}}]}}`

const gitOps = "argocd-controller"

// owned applies the user's objects as their owner does: server-side, under its own name.
func owned(s *scene) {
	s.ownerApplies(trial.VirtualServices, richRoutes)
	s.ownerApplies(trial.DestinationRules, richRule)
}

// ownerApplies fails where fields belong to somebody else by now.
func (s *scene) ownerApplies(r schema.GroupVersionResource, text string) {
	s.Helper()
	o := &unstructured.Unstructured{}
	s.must(json.Unmarshal([]byte(text), o))
	if _, err := s.lab.Client.Resource(r).Namespace(trial.Namespace).Apply(s.ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: gitOps}); err != nil {
		s.Errorf("the owner's apply of %s: %v", o.GetKind(), err)
	}
}

// managers are who owns fields of an object.
func (s *scene) managers(r schema.GroupVersionResource, name string) []string {
	s.Helper()
	o, err := s.lab.Client.Resource(r).Namespace(trial.Namespace).Get(s.ctx, name, metav1.GetOptions{})
	s.must(err)
	var out []string
	for _, f := range o.GetManagedFields() {
		out = append(out, f.Manager)
	}
	return out
}

// gitOpsGoesOn: the owner applies what the rollout left, as after a commit, and what it had before; neither conflicts.
func (s *scene) gitOpsGoesOn(timeout string) {
	s.Helper()
	for _, r := range []schema.GroupVersionResource{trial.VirtualServices, trial.DestinationRules} {
		if got := s.managers(r, "cart"); len(got) != 1 || got[0] != gitOps {
			s.Errorf("fields of %s belong to %v, want %s alone", r.Resource, got, gitOps)
		}
	}
	s.ownerApplies(trial.VirtualServices, withTimeout(timeout))
	s.ownerApplies(trial.DestinationRules, richRule)
	owned(s)
	s.untouched()
}

// withTimeout is richRoutes with the policy's one field where it acts; empty: as it is.
func withTimeout(timeout string) string {
	if timeout == "" {
		return richRoutes
	}
	out := strings.Replace(richRoutes, `"timeout":"11s"`, `"timeout":"`+timeout+`"`, 1)
	out = strings.Replace(out, `"retries":{"attempts":2`, `"timeout":"`+timeout+`","retries":{"attempts":2`, 1)
	return strings.Replace(out, ` {"route":[{"destination":{"host":"cart"}}]}`, ` {"timeout":"`+timeout+`","route":[{"destination":{"host":"cart"}}]}`, 1)
}

// TestOwnedObjects: after a success only the policy's fields differ, after the way back nothing does, and the owner's
// next apply has no conflict either way.
func TestOwnedObjects(t *testing.T) {
	const policy = "  request: 19500ms\n"
	t.Run("succeeded", func(t *testing.T) {
		s := newScene(t, 100, owned)
		s.meshpol(0, short("rollout", "-f", s.file("Timeout", "cart-timeout", "cart", policy))...)
		s.noErrors(s.records())
		var want unstructured.Unstructured
		s.must(json.Unmarshal([]byte(withTimeout("19.5s")), &want))
		text, err := trial.Canonical(&want)
		s.must(err)
		s.same(map[string]string{"VirtualService/cart": text, "DestinationRule/cart": s.before["DestinationRule/cart"]}, s.objects())
		s.gitOpsGoesOn("19.5s")
	})
	t.Run("taken back", func(t *testing.T) {
		s := newScene(t, 100, owned)
		s.meshpol(0, short("rollout", "-f", s.file("Timeout", "cart-timeout", "cart", policy))...)
		s.meshpol(0, "rollback", "cart-timeout", "-n", trial.Namespace)
		s.untouched()
		s.noErrors(s.records())
		s.gitOpsGoesOn("")
	})
	t.Run("stopped", func(t *testing.T) {
		s := newScene(t, 100, owned)
		r := s.begin(short("rollout", "-f", s.file("Timeout", "cart-timeout", "cart", policy))...)
		s.until(r, judged("10 %"))
		s.must(r.Signal(os.Interrupt))
		s.ends(r, 5)
		s.untouched()
		s.noErrors(s.records())
		s.gitOpsGoesOn("")
	})
}

// TestOwnedObjectsWithABreaker writes both kinds of objects, with a subset beside each that is in use.
func TestOwnedObjectsWithABreaker(t *testing.T) {
	const policy = "  maxConnections: 500\n  maxPendingRequests: 400\n"
	s := newScene(t, 100, owned)
	s.meshpol(0, short("rollout", "--steps", "50", "-f", s.file("CircuitBreaker", "cart-breaker", "cart", policy))...)
	s.noErrors(s.records())
	after := s.objects()
	s.same(map[string]string{"VirtualService/cart": s.before["VirtualService/cart"]}, map[string]string{"VirtualService/cart": after["VirtualService/cart"]})
	for _, text := range []string{`"maxConnections":500`, `"http1MaxPendingRequests":400`, `"idleTimeout":"30s"`, `"simple":"LEAST_REQUEST"`, `"owner":"shop@example.com"`} {
		if !strings.Contains(after["DestinationRule/cart"], text) {
			t.Errorf("the DestinationRule has no %s: %s", text, after["DestinationRule/cart"])
		}
	}
	t.Logf("after: %s", after["DestinationRule/cart"])
	s.meshpol(0, "rollback", "cart-breaker", "-n", trial.Namespace)
	s.untouched()
	s.noErrors(s.records())
	s.gitOpsGoesOn("")
}
