package kube

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/policy"
)

// podWith builds a pod of a Deployment with a sidecar.
func podWith(namespace, name string, edit func(*unstructured.Unstructured)) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"spec":   map[string]any{"containers": []any{map[string]any{"name": "app", "image": "app:1"}, map[string]any{"name": "istio-proxy", "image": "proxyv2:1.24.3"}}},
		"status": map[string]any{"phase": "Running", "podIP": "10.0.0.1", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}}
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetLabels(map[string]string{"app": "cart", "pod-template-hash": "65564ffc49", injected: "istio"})
	yes := true
	o.SetOwnerReferences([]metav1.OwnerReference{{Kind: "ReplicaSet", Name: "cart-65564ffc49", Controller: &yes}})
	if edit != nil {
		edit(o)
	}
	return o
}

func istiodPod(name, image string, labels map[string]string) *unstructured.Unstructured {
	return podWith(istioSystem, name, func(o *unstructured.Unstructured) {
		all := map[string]string{"app": "istiod"}
		for k, v := range labels {
			all[k] = v
		}
		o.SetLabels(all)
		o.Object["spec"] = map[string]any{"containers": []any{map[string]any{"name": "discovery", "image": image}}}
	})
}

func TestPodsKeepWhatMatters(t *testing.T) {
	s, c := serve(t)
	s.Add(
		podWith("shop", "cart-65564ffc49-a", nil),
		podWith("shop", "db-0", func(o *unstructured.Unstructured) {
			yes := true
			o.SetOwnerReferences([]metav1.OwnerReference{{Kind: "StatefulSet", Name: "db", Controller: &yes}})
			o.SetLabels(nil)
			o.Object["spec"] = map[string]any{"containers": []any{map[string]any{"name": "db"}}}
			o.Object["status"] = map[string]any{"phase": "Pending"}
		}),
		podWith("shop", "native", func(o *unstructured.Unstructured) {
			o.SetOwnerReferences(nil)
			o.Object["spec"] = map[string]any{"containers": []any{map[string]any{"name": "app"}}, "initContainers": []any{map[string]any{"name": "istio-proxy", "restartPolicy": "Always"}}}
			o.SetDeletionTimestamp(&metav1.Time{Time: metav1.Now().Time})
		}),
	)
	pods, err := c.Pods(t.Context(), "shop")
	if err != nil || len(pods) != 3 {
		t.Fatalf("%v %v", pods, err)
	}
	cart, db, native := pods[0], pods[1], pods[2]
	if cart.Workload != "cart" || !cart.Proxy || !cart.Ready || cart.IP != "10.0.0.1" || cart.ID() != "shop/cart-65564ffc49-a" {
		t.Errorf("%+v", cart)
	}
	if db.Workload != "db" || db.Proxy || db.Ready {
		t.Errorf("%+v", db)
	}
	if native.Workload != "native" || !native.Proxy || !native.Terminating {
		t.Errorf("%+v", native)
	}
}

func TestPodsComeInChunks(t *testing.T) {
	s, c := serve(t)
	s.ChunkLimit = 7
	for i := range 30 {
		s.Add(podWith("shop", fmt.Sprintf("p%02d", i), nil))
	}
	expired := 0
	s.Before = func(r *http.Request) {
		if r.URL.Query().Get("continue") == "14" && expired == 0 {
			expired++
			s.Fail("GET", "/pods", 1, http.StatusGone, metav1.StatusReasonExpired, "the provided continue parameter is too old")
		}
	}
	pods, err := c.Pods(t.Context(), "")
	if err != nil || len(pods) != 30 {
		t.Fatalf("%d pods, %v", len(pods), err)
	}
	ids := map[string]bool{}
	for _, p := range pods {
		ids[p.ID()] = true
	}
	if len(ids) != 30 || expired != 1 {
		t.Errorf("%d different pods, %d expiries", len(ids), expired)
	}
}

func TestLabelSetsAndRemoves(t *testing.T) {
	s, c := serve(t)
	s.Add(podWith("shop", "a", nil))
	for _, value := range []string{"ab12", ""} {
		if err := c.Label(t.Context(), "shop", "a", cart().CohortLabel(), value); err != nil {
			t.Fatal(err)
		}
		got, found := s.Object("pods", "shop", "a").GetLabels()[cart().CohortLabel()]
		if got != value || found != (value != "") {
			t.Errorf("label %q, %v", got, found)
		}
	}
	if err := c.Label(t.Context(), "shop", "gone", "k", "v"); err != nil {
		t.Errorf("a pod that is gone: %v", err)
	}
	s.Deny("patch", "", "pods", "shop")
	var rights *RightsError
	if err := c.Label(t.Context(), "shop", "a", "k", "v"); !errors.As(err, &rights) {
		t.Errorf("%v", err)
	}
}

func stock(s *fakekube.Server) {
	s.Add(
		istiodPod("istiod-b", "docker.io/istio/pilot:1.24.3-distroless", map[string]string{revisionLabel: "canary"}),
		istiodPod("istiod-a", "docker.io/istio/pilot:1.23.1", map[string]string{revisionLabel: "default"}),
		podWith("shop", "cart-1", nil), podWith("front", "web-1", nil),
		virtualService("cart", "x"), object("v1", "Service", "shop", "cart", ""), object("networking.istio.io/v1beta1", "DestinationRule", "shop", "cart", ""),
		object("security.istio.io/v1", "PeerAuthentication", "istio-system", "default", ""),
	)
}

func TestGather(t *testing.T) {
	for name, aggregated := range map[string]bool{"aggregated": true, "group by group": false} {
		t.Run(name, func(t *testing.T) {
			s, c := serve(t, fakekube.Istio()...)
			s.Aggregated = aggregated
			stock(s)
			snap, err := c.Gather(t.Context(), []policy.Target{cart()})
			if err != nil {
				t.Fatal(err)
			}
			m := snap.Mesh
			if m.Name != "istio" || m.Version != "1.23.1" || m.RootNamespace != "istio-system" || !slices.Equal(m.Revisions, []string{"canary", "default"}) {
				t.Errorf("%+v", m)
			}
			if m.APIVersions["VirtualService"] != "networking.istio.io/v1" || m.APIVersions["EnvoyFilter"] != "networking.istio.io/v1alpha3" || m.APIVersions["PeerAuthentication.security.istio.io"] != "security.istio.io/v1" {
				t.Errorf("%v", m.APIVersions)
			}
			if snap.Object("VirtualService", "shop", "cart") == nil || snap.Object("DestinationRule", "shop", "cart") == nil || len(snap.ByKind("Service")) != 1 || len(snap.ByKind("PeerAuthentication")) != 1 {
				t.Errorf("%d objects", len(snap.Objects))
			}
			if len(snap.Pods) != 2 || snap.Pods[0].ID() != "front/web-1" || snap.Cluster != "test" || len(snap.Unread) != 0 {
				t.Errorf("%v %v", snap.Pods, snap.Unread)
			}
		})
	}
}

func TestGatherInNamespacesOnly(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	stock(s)
	for _, k := range append(fakekube.Builtin(), fakekube.Istio()...) {
		s.Deny("list", k.Group, k.Resource, "")
	}
	s.Deny("list", "security.istio.io", "peerauthentications", "shop")
	snap, err := c.Gather(t.Context(), []policy.Target{cart()})
	if err != nil {
		t.Fatal(err)
	}
	if snap.Object("VirtualService", "shop", "cart") == nil || len(snap.Pods) != 1 || snap.Mesh.Version != "1.23.1" {
		t.Errorf("%d objects, %v, %+v", len(snap.Objects), snap.Pods, snap.Mesh)
	}
	if n := slices.IndexFunc(snap.Unread, func(line string) bool { return strings.HasPrefix(line, "PeerAuthentication outside") }); n >= 0 {
		t.Errorf("a kind that cannot be read at all is told of twice: %q", snap.Unread)
	}
	text := strings.Join(snap.Unread, "\n")
	for _, want := range []string{"PeerAuthentication:", "pods of other namespaces", "VirtualService outside the targets' namespaces"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not among\n%s", want, text)
		}
	}
}

func TestGatherWithoutTheRightsItNeeds(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	stock(s)
	s.Deny("list", "networking.istio.io", "virtualservices", "")
	s.Deny("list", "networking.istio.io", "virtualservices", "shop")
	_, err := c.Gather(t.Context(), []policy.Target{cart()})
	var rights *RightsError
	if !errors.As(err, &rights) || rights.Check() != "kubectl auth can-i list virtualservices.networking.istio.io -n shop" {
		t.Fatalf("%v", err)
	}
}

func TestGatherWithoutAMesh(t *testing.T) {
	_, c := serve(t)
	_, err := c.Gather(t.Context(), nil)
	var none *NoMeshError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "Istio or Linkerd") {
		t.Fatalf("%v", err)
	}
}

func TestGatherLinkerd(t *testing.T) {
	s, c := serve(t, fakekube.Kind{Group: groupLinkerdPolicy, Version: "v1beta3", Resource: "servers", Kind: "Server"},
		fakekube.Kind{Group: groupLinkerdPolicy, Version: "v1beta3", Resource: "httproutes", Kind: "HTTPRoute"},
		fakekube.Kind{Group: groupGateway, Version: "v1", Resource: "httproutes", Kind: "HTTPRoute"})
	s.Add(podWith("linkerd", "linkerd-destination-1", func(o *unstructured.Unstructured) {
		o.SetLabels(map[string]string{"linkerd.io/control-plane-component": "destination"})
		o.SetAnnotations(map[string]string{"linkerd.io/created-by": "linkerd/cli edge-25.8.3"})
	}), object("policy.linkerd.io/v1beta3", "Server", "shop", "cart", ""))
	snap, err := c.Gather(t.Context(), []policy.Target{cart()})
	if err != nil {
		t.Fatal(err)
	}
	if m := snap.Mesh; m.Name != "linkerd" || m.Version != "edge-25.8.3" || m.APIVersions["HTTPRoute"] != "policy.linkerd.io/v1beta3" || len(snap.ByKind("Server")) != 1 {
		t.Errorf("%+v", m)
	}
}

func TestRootNamespaceComesFromTheMeshConfiguration(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	stock(s)
	cm := object("v1", "ConfigMap", istioSystem, "istio", "")
	cm.Object["data"] = map[string]any{"mesh": "defaultConfig:\n  discoveryAddress: x\nrootNamespace: mesh-root\n"}
	s.Add(cm)
	snap, err := c.Gather(t.Context(), nil)
	if err != nil || snap.Mesh.RootNamespace != "mesh-root" {
		t.Errorf("%+v %v", snap, err)
	}
}

func TestVersionOfAnUntaggedIstiod(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	s.Add(istiodPod("istiod-a", "registry/pilot@sha256:abc", nil))
	s.Forward(istioSystem, "istiod-a", debugPort, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "1.26.2-aef3c-Clean") }))
	snap, err := c.Gather(t.Context(), nil)
	if err != nil || snap.Mesh.Version != "1.26.2" {
		t.Errorf("%+v %v", snap.Mesh, err)
	}
}

func TestVersions(t *testing.T) {
	for tag, want := range map[string]string{"pilot:1.24.3": "1.24.3", "pilot:1.24.3-distroless": "1.24.3", "pilot:v1.31-alpha.2": "1.31", "pilot:latest": "", "pilot:1.24.3@sha256": "1.24.3"} {
		var p slimPod
		p.Spec.Containers = []slimContainer{{Name: "discovery", Image: "docker.io/istio/" + tag}}
		if got := istiodOf(p).version; got != want {
			t.Errorf("%s: %q, want %q", tag, got, want)
		}
	}
	if oldest("1.9.1", "1.24.0") != "1.9.1" || oldest("", "1.2") != "1.2" || oldest("1.24.1", "1.24") != "1.24" {
		t.Error("oldest")
	}
}
