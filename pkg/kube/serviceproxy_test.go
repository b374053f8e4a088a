package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func service(namespace, name string, labels map[string]string, ports ...any) *unstructured.Unstructured {
	o := object("v1", "Service", namespace, name, "")
	o.SetLabels(labels)
	o.Object["spec"] = map[string]any{"ports": ports}
	return o
}

func port(name string, number int64) map[string]any {
	return map[string]any{"name": name, "port": number}
}

func TestFindPrometheus(t *testing.T) {
	label := map[string]string{"app.kubernetes.io/name": "prometheus"}
	for name, c := range map[string]struct {
		services []*unstructured.Unstructured
		deny     bool
		want     string
	}{
		"by label":   {[]*unstructured.Unstructured{service("obs", "prom", label, port("grpc", 10901), port("http-web", 9090))}, false, "obs/prom:9090"},
		"by name":    {[]*unstructured.Unstructured{service("monitoring", "prometheus", nil, port("x", 9090))}, false, "monitoring/prometheus:9090"},
		"denied":     {[]*unstructured.Unstructured{service("istio-system", "prometheus", label, port("http", 9090))}, true, "istio-system/prometheus:9090"},
		"wrong port": {[]*unstructured.Unstructured{service("obs", "prom", label, port("grpc", 10901), port("x", 1))}, false, ""},
		"none":       {nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := serve(t)
			s.Add(c.services...)
			if c.deny {
				s.Deny("list", "", "services", "")
			}
			got, err := client.FindPrometheus(t.Context())
			var none *NoPrometheusError
			if c.want == "" && !errors.As(err, &none) {
				t.Fatalf("%v %v", got, err)
			}
			if c.want != "" && (err != nil || got.String() != c.want) {
				t.Fatalf("%v %v", got, err)
			}
		})
	}
}

func TestServiceProxyReachesTheService(t *testing.T) {
	s, c := serve(t)
	s.Forward("obs", "prom", "9090", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, body)
	}))
	rt, err := c.ServiceProxyTransport(Service{Namespace: "obs", Name: "prom", Port: "9090", Scheme: "http"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: rt}).Get("http://prometheus/api/v1/query?query=up")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != "GET /api/v1/query?query=up " {
		t.Errorf("%s", got)
	}
	s.Close()
	_, err = (&http.Client{Transport: rt}).Get("http://prometheus/api/v1/query")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("%v", err)
	}
}

func TestIdentityAndRights(t *testing.T) {
	s, c := serve(t)
	if who, err := c.Identity(t.Context()); err != nil || who != "tester" {
		t.Errorf("%q %v", who, err)
	}
	s.Fail("POST", "v1/selfsubjectreviews", 1, 404, "NotFound", "not here")
	if who, err := c.Identity(t.Context()); err != nil || who != "tester" {
		t.Errorf("%q %v", who, err)
	}
	s.Fail("POST", "selfsubjectreviews", -1, 404, "NotFound", "not here")
	if _, err := c.Identity(t.Context()); err == nil {
		t.Error("no error")
	}
	if ok, _, err := c.Allowed(t.Context(), Access{Verb: "get", Resource: "pods"}); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	s.Fail("POST", "selfsubjectaccessreviews", -1, 401, "Unauthorized", "Unauthorized")
	if _, _, err := c.Allowed(t.Context(), Access{Verb: "get", Resource: "pods"}); err == nil {
		t.Error("no error")
	}
	if got := Holder("ann", "box", 7); got != "ann@box/7" {
		t.Error(got)
	}
}
