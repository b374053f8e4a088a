package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func TestTargetOf(t *testing.T) {
	cases := map[string]struct {
		in   v1alpha1.Target
		text string
	}{
		"a service":             {v1alpha1.Target{Service: "cart"}, "service shop/cart"},
		"a service, narrowed":   {v1alpha1.Target{Service: "cart", Routes: []v1alpha1.RouteRef{{Path: "/"}}}, "service shop/cart"},
		"a workload":            {v1alpha1.Target{Workload: &v1alpha1.WorkloadRef{Labels: map[string]string{"b": "2", "a": "1"}}}, "workload shop/a=1,b=2"},
		"a namespace":           {v1alpha1.Target{Namespace: true}, "namespace shop"},
		"a gateway's host":      {v1alpha1.Target{Gateway: "public", Host: "a.b"}, "gateway shop/public a.b"},
		"a ServiceEntry's host": {v1alpha1.Target{Host: "a.b"}, "host shop/a.b"},
	}
	seen := map[string]string{}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			target := policy.TargetOf("shop", c.in)
			if got := target.String(); got != c.text {
				t.Errorf("%s, want %s", got, c.text)
			}
			if other, ok := seen[target.Hash()]; ok && other != c.text {
				t.Errorf("%s and %s have one hash", other, c.text)
			}
			seen[target.Hash()] = c.text
			if bad := validation.IsDNS1123Subdomain(target.LeaseName()); bad != nil {
				t.Error(bad)
			}
			if bad := validation.IsQualifiedName(target.CohortLabel()); bad != nil {
				t.Error(bad)
			}
		})
	}
}

func TestChangesGroupByTarget(t *testing.T) {
	set, err := loadText(timeoutDoc + "---\n" + doc("Timeout", "user", "{target: {service: user-service}, request: 1s}") + "---\n" +
		doc("Retry", "cart-retry", "{target: {service: cart, routes: [{path: /}]}, attempts: 1}"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range set.Changes() {
		text := c.Target.String() + ":"
		for _, p := range c.Policies {
			text += " " + p.Key.String()
		}
		got = append(got, text)
	}
	want := []string{"service shop/cart: Retry/shop/cart-retry Timeout/shop/cart-timeout", "service shop/user-service: Timeout/shop/user"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExposureText(t *testing.T) {
	cases := map[string]policy.Exposure{
		"staged, identical halves": {Mode: policy.Staged, By: policy.ByRequest, Share: 0.5},
		"all traffic":              {Mode: policy.Enforce, By: policy.All},
		"chosen requests":          {Mode: policy.Enforce, By: policy.ByMatch},
		"25 % of client pods":      {Mode: policy.Enforce, By: policy.ByInstance, Share: 0.25},
		"0.1 % of requests":        {Mode: policy.Enforce, By: policy.ByRequest, Share: 0.001},
	}
	for want, e := range cases {
		if got := e.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestUnsupportedErrorSaysEverything(t *testing.T) {
	e := &policy.UnsupportedError{Code: "MP543", Policy: policy.Key{Kind: "Timeout", Namespace: "shop", Name: "t"}, Field: "spec.idle", Reason: "no", Next: "remove it"}
	if got, want := e.Error(), "MP543 Timeout/shop/t: spec.idle: no; remove it"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	e.Field, e.Next = "", ""
	if got, want := e.Error(), "MP543 Timeout/shop/t: no"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSnapshotFinds(t *testing.T) {
	vs := &unstructured.Unstructured{Object: map[string]any{"kind": "VirtualService", "metadata": map[string]any{"namespace": "shop", "name": "cart"}}}
	s := &policy.Snapshot{Objects: []*unstructured.Unstructured{vs}}
	if s.Object("VirtualService", "shop", "cart") != vs || s.Object("VirtualService", "other", "cart") != nil || len(s.ByKind("VirtualService")) != 1 || s.ByKind("Service") != nil {
		t.Error("the snapshot does not find its object")
	}
	if got := (policy.Pod{Namespace: "shop", Name: "cart-0"}).ID(); got != "shop/cart-0" {
		t.Error(got)
	}
}
