package kube

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// serve starts an API server and a client of it.
func serve(t *testing.T, kinds ...fakekube.Kind) (*fakekube.Server, *Cluster) {
	t.Helper()
	s := fakekube.New(kinds...)
	t.Cleanup(s.Close)
	return s, client(t, &rest.Config{Host: s.URL})
}

func client(t *testing.T, config *rest.Config) *Cluster {
	t.Helper()
	c, err := New(config, Options{Name: "test", QPS: 10000, Burst: 10000, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// object is an object with a spec of one field.
func object(apiVersion, kind, namespace, name, field string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": map[string]any{"field": field}}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func virtualService(name, field string) *unstructured.Unstructured {
	return object("networking.istio.io/v1", "VirtualService", "shop", name, field)
}

func field(o *unstructured.Unstructured) string {
	s, _, _ := unstructured.NestedString(o.Object, "spec", "field")
	return s
}

func cart() policy.Target { return policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"} }

func stateOf(phase rollout.Phase) rollout.State {
	return rollout.State{Version: rollout.StateVersion, Name: "cart-timeout", Target: cart(), Phase: phase}
}
