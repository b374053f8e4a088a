package kube

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// vouching answers as an istiod that also tells what it would send.
func (m *fakeMesh) vouching(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	version := m.counter
	m.mu.Unlock()
	pod, _, _ := strings.Cut(r.URL.Query().Get("proxyID"), ".")
	switch r.URL.Path {
	case "/debug/config_dump":
		m.dump(w, r, pod)
	case "/debug/sidecarz":
		fmt.Fprintf(w, `{"services":[{"version":"1.2"}],"version": "2026-11-24T10:20:57Z/%d"}`, version)
	default:
		m.syncz(w, r)
	}
}

func TestIstiodVouchesWhereProxiesMayNotBeRead(t *testing.T) {
	m, p := newFakeMesh(t, "a", "b", "c")
	m.Forward(istioSystem, "istiod-a", debugPort, http.HandlerFunc(m.vouching))
	m.Deny("create", "", "pods/portforward", "shop")
	m.Deny("get", "", "pods/portforward", "shop")
	time.AfterFunc(100*time.Millisecond, func() { m.push("mp-new-1", "a", "b", "c") })
	proof, err := p.Prove(within(t, 10*time.Second), ask("mp-new-1"), nil)
	if err != nil || proof.Confirmed != 3 {
		t.Fatalf("%+v %v", proof, err)
	}
	if n := m.Count("GET", "shop/pods"); n > 1 {
		t.Errorf("a right that is missing was asked for %d times", n)
	}
	m.edit("c", func(p *fakeProxy) { p.sent = 99 })
	time.AfterFunc(100*time.Millisecond, func() { m.push("mp-new-2", "a", "b") })
	proof, err = p.Prove(within(t, 1500*time.Millisecond), ask("mp-new-2"), nil)
	if err == nil || len(proof.Stragglers) != 1 || p.Why("shop/c") != "sent by istiod and not acknowledged" {
		t.Errorf("%+v %v %q", proof, err, p.Why("shop/c"))
	}
}

func TestWarningsAreHandedOn(t *testing.T) {
	s := fakekube.New(fakekube.Istio()...)
	defer s.Close()
	s.Handle("GET", "/apis", 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Warning", `299 - "v1alpha3 is deprecated"`)
		http.Error(w, `{}`, http.StatusOK)
	})
	var told []string
	c, err := New(&rest.Config{Host: s.URL}, Options{Warn: func(text string) { told = append(told, text) }})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Get(t.Context(), rollout.RefOf(virtualService("cart", ""))) // what it answers does not matter here
	if len(told) != 1 || told[0] != "v1alpha3 is deprecated" {
		t.Errorf("%q", told)
	}
}
