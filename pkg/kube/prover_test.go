package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakekube"
	meshapi "github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const testHost = "cart.shop.svc.cluster.local"

// fakeMesh is an istiod and its Envoys, as far as the barrier looks at them.
type fakeMesh struct {
	*fakekube.Server
	mu      sync.Mutex
	counter int
	proxies map[string]*fakeProxy
}

type fakeProxy struct {
	content     string
	sent, acked int
	lastError   string
	hangs       bool
}

func newFakeMesh(t *testing.T, pods ...string) (*fakeMesh, *Prover) {
	t.Helper()
	s, c := serve(t, fakekube.Istio()...)
	m := &fakeMesh{Server: s, counter: 7, proxies: map[string]*fakeProxy{}}
	s.Add(istiodPod("istiod-a", "pilot:1.24.3", nil))
	s.Forward(istioSystem, "istiod-a", debugPort, http.HandlerFunc(m.syncz))
	for _, pod := range pods {
		s.Add(podWith("shop", pod, nil))
		m.proxies[pod] = &fakeProxy{content: testHost, sent: 7, acked: 7}
		s.Forward("shop", pod, adminPort, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.dump(w, r, pod) }))
	}
	p := NewProver(c)
	t.Cleanup(p.Close)
	return m, p
}

func (m *fakeMesh) syncz(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []any{}
	for pod, p := range m.proxies {
		nonce := func(n int) string {
			return fmt.Sprintf("2026-11-24T10:20:57Z/%d00000000-0000-4000-8000-000000000000", n)
		}
		out = append(out, map[string]any{
			"proxy": pod + ".shop", "proxy_type": "sidecar", "cluster_id": "Kubernetes",
			"route_sent": nonce(p.sent), "route_acked": nonce(p.acked), "cluster_sent": nonce(p.sent), "cluster_acked": nonce(p.acked),
			"listener_sent": nonce(1), "listener_acked": nonce(1),
			"resources": map[string]any{"type.googleapis.com/envoy.config.route.v3.RouteConfiguration": map[string]any{"lastError": p.lastError}},
		})
	}
	json.NewEncoder(w).Encode(out)
}

func (m *fakeMesh) dump(w http.ResponseWriter, r *http.Request, pod string) {
	m.mu.Lock()
	p := *m.proxies[pod]
	m.mu.Unlock()
	if p.hangs {
		<-r.Context().Done()
		return
	}
	fmt.Fprint(w, p.content)
}

// push gives some proxies a new configuration.
func (m *fakeMesh) push(content string, pods ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counter++
	for _, pod := range pods {
		p := m.proxies[pod]
		p.content, p.sent, p.acked = testHost+" "+content, m.counter, m.counter
	}
}

func (m *fakeMesh) edit(pod string, f func(*fakeProxy)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.proxies[pod])
}

func ask(text string) rollout.ProofRequest {
	return rollout.ProofRequest{Host: testHost, Markers: []meshapi.Marker{{Scope: "routes", Text: text}}}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestProveThroughPortForwards(t *testing.T) {
	pods := []string{"a", "b", "c", "d", "e"}
	m, p := newFakeMesh(t, pods...)
	time.AfterFunc(150*time.Millisecond, func() { m.push("mp-new-1", pods[:3]...) })
	time.AfterFunc(400*time.Millisecond, func() { m.push("mp-new-1", pods[3:]...) })
	var seen []int
	proof, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), func(p rollout.Proof) { seen = append(seen, p.Confirmed) })
	if err != nil || proof.Confirmed != 5 || proof.Concerned != 5 || len(proof.Stragglers) != 0 {
		t.Fatalf("%+v %v", proof, err)
	}
	if proof.Took < 350*time.Millisecond || len(seen) < 2 {
		t.Errorf("took %s, progress %v", proof.Took, seen)
	}
	before := m.Count("POST", "portforward")
	m.push("mp-new-2", pods...)
	if proof, err = p.Prove(within(t, 10*time.Second), ask("mp-new-2"), nil); err != nil || proof.Confirmed != 5 {
		t.Fatalf("%+v %v", proof, err)
	}
	if more := m.Count("POST", "portforward") - before; more > 2 {
		t.Errorf("the second barrier opened %d port-forwards anew", more)
	}
	if n := m.Count("GET", "portforward"); n != 1 {
		t.Errorf("WebSocket was tried %d times", n)
	}
}

func TestProveNamesStragglers(t *testing.T) {
	m, p := newFakeMesh(t, "a", "b")
	m.push("mp-new-1", "a")
	m.edit("b", func(p *fakeProxy) { p.hangs = true })
	proof, err := p.Prove(within(t, 1500*time.Millisecond), ask("mp-new-1"), nil)
	var stragglers *rollout.StragglersError
	if !errors.As(err, &stragglers) || len(proof.Stragglers) != 1 || proof.Stragglers[0] != "shop/b" || proof.Confirmed != 1 {
		t.Fatalf("%+v %v", proof, err)
	}
}

func TestProveEndsWithEnvoysWords(t *testing.T) {
	m, p := newFakeMesh(t, "a", "b")
	m.push("mp-new-1", "a")
	time.AfterFunc(100*time.Millisecond, func() {
		m.edit("b", func(p *fakeProxy) { p.sent, p.lastError = 8, "route: unknown cluster 'x'" })
	})
	_, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), nil)
	var rejected *rollout.RejectedError
	if !errors.As(err, &rejected) || !strings.Contains(err.Error(), "unknown cluster") || rejected.Proof.Rejected[0].Proxy != "shop/b" {
		t.Fatalf("%v", err)
	}
}

func TestProveForgetsDeletedPods(t *testing.T) {
	m, p := newFakeMesh(t, "a", "b")
	p.Expect([]policy.Pod{{Namespace: "shop", Name: "b", Proxy: true, Ready: true}, {Namespace: "shop", Name: "x", Proxy: true, Ready: true}})
	m.push("mp-new-1", "a", "b")
	time.AfterFunc(100*time.Millisecond, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.proxies, "b")
		m.Remove("pods", "shop", "b")
	})
	proof, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), nil)
	if err != nil || proof.Confirmed == 0 || proof.Confirmed > 2 {
		t.Fatalf("%+v %v", proof, err)
	}
}

func TestProveNamedProxies(t *testing.T) {
	m, p := newFakeMesh(t, "a", "b", "c")
	m.push("mp-new-1", "b")
	req := ask("mp-new-1")
	req.Proxies = []string{"shop/b"}
	if proof, err := p.Prove(within(t, 10*time.Second), req, nil); err != nil || proof.Confirmed != 1 || proof.Concerned != 1 {
		t.Fatalf("%+v %v", proof, err)
	}
}

func TestProveWithoutTheRightToForward(t *testing.T) {
	m, p := newFakeMesh(t, "a")
	m.Deny("get", "", "pods/portforward", istioSystem)
	m.Deny("create", "", "pods/portforward", istioSystem)
	_, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), nil)
	var denied *PortForwardError
	if !errors.As(err, &denied) || !strings.Contains(err.Error(), "grant `create` and `get` on pods/portforward in namespace istio-system") {
		t.Fatalf("%T %v", err, err)
	}
}

// WebSocket needs the right to get, SPDY the right to create: one of them is enough.
func TestProveWithTheOlderRightAlone(t *testing.T) {
	m, p := newFakeMesh(t, "a")
	m.Deny("get", "", "pods/portforward", istioSystem)
	m.push("mp-new-1", "a")
	if proof, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), nil); err != nil || proof.Confirmed != 1 {
		t.Fatalf("%+v %v", proof, err)
	}
}

func TestProveWithoutIstiod(t *testing.T) {
	s, c := serve(t)
	s.Add(istiodPod("istiod-a", "pilot:1.24.3", nil))
	o := s.Object("pods", istioSystem, "istiod-a")
	if err := unstructured.SetNestedField(o.Object, "Pending", "status", "phase"); err != nil {
		t.Fatal(err)
	}
	s.Add(o)
	p := NewProver(c)
	defer p.Close()
	_, err := p.Prove(within(t, time.Second), ask("x"), nil)
	var none *NoIstiodError
	if !errors.As(err, &none) {
		t.Fatalf("%v", err)
	}
}

func TestProveNamesASilentIstiod(t *testing.T) {
	m, p := newFakeMesh(t, "a")
	m.Forward(istioSystem, "istiod-a", debugPort, nil)
	proof, err := p.Prove(within(t, time.Second), ask("x"), nil)
	if err == nil || len(proof.Stragglers) != 1 || !strings.Contains(proof.Stragglers[0], "istiod istio-system/istiod-a") || !strings.Contains(proof.Stragglers[0], "connection refused") {
		t.Fatalf("%+v %v", proof, err)
	}
}

func TestProveCancelledTellsWhy(t *testing.T) {
	_, p := newFakeMesh(t, "a")
	reason := errors.New("the lock is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(reason) })
	if _, err := p.Prove(ctx, ask("x"), nil); !errors.Is(err, reason) {
		t.Fatalf("%v", err)
	}
}

func TestProveNothing(t *testing.T) {
	_, c := serve(t)
	p := NewProver(c)
	p.Close()
	if proof, err := p.Prove(t.Context(), rollout.ProofRequest{}, nil); err != nil || proof.Concerned != 0 {
		t.Fatalf("%+v %v", proof, err)
	}
	if _, err := p.forward.open(t.Context(), "shop", "a"); err == nil {
		t.Error("a closed forwarder opened a port-forward")
	}
}

func TestTunnelsAreBounded(t *testing.T) {
	s, c := serve(t)
	f := newForwarder(c)
	defer f.Close()
	for i := range maxTunnels + 5 {
		name := fmt.Sprintf("p%d", i)
		s.Add(podWith("shop", name, nil))
		if _, err := f.open(t.Context(), "shop", name); err != nil {
			t.Fatal(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.tunnels) != maxTunnels {
		t.Errorf("%d tunnels", len(f.tunnels))
	}
}
