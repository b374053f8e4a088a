package istio

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
)

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"1.26.0": true, "1.26": true, "v1.26.3": true, "1.26-alpha.3": true, "1.27.1": true, "2.0.0": true, "1.31-dev": true,
		"": true, "unknown": true, "master.x": true, "1.25.9": false, "1.9.0": false, "v1.20": false,
	} {
		if got := atLeast(version, 26); got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}

func TestRetryConditions(t *testing.T) {
	for _, c := range []string{"5xx", "503", "http3-post-connect-failure", "unavailable"} {
		if err := retryConditions(policy.Key{}, []string{c}); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	for _, c := range []string{"", "99", "600", "deadline-exceded", "5XX"} {
		if err := retryConditions(policy.Key{}, []string{c}); err == nil {
			t.Errorf("%q is taken", c)
		}
	}
}

func TestHosts(t *testing.T) {
	h := host{name: "cart", namespace: "shop"}
	for s, want := range map[string]bool{
		"cart": true, "cart.shop": true, "cart.shop.svc": true, "cart.shop.svc.cluster.local": true, "CART.shop.svc.cluster.local.": true,
		"cart.web": false, "cart.shop.svc.cluster.example": false, "xcart": false, "*": false, "": false,
	} {
		if got := h.is(s, "shop"); got != want {
			t.Errorf("%q in shop: %v, want %v", s, got, want)
		}
	}
	if h.is("cart", "web") || !h.is("cart.shop", "web") {
		t.Error("a short name means a service of the object's own namespace")
	}
	for s, want := range map[string]bool{"*": true, "*.local": true, "*.shop.svc.cluster.local": true, "*.web.svc.cluster.local": false, "cart": false} {
		if got := h.under(s); got != want {
			t.Errorf("%q covers it: %v, want %v", s, got, want)
		}
	}
}

func exported(namespace string, to ...any) visible {
	return visibility(&unstructured.Unstructured{Object: tree{"metadata": tree{"namespace": namespace}, "spec": tree{"exportTo": to}}})
}

func TestVisibility(t *testing.T) {
	public, own, both := exported("shop"), exported("shop", "."), exported("shop", ".", "web")
	for name, got := range map[string]bool{
		"public covers all": public.covers(own) && public.covers(exported("a", "*")) && !own.covers(public),
		"wider covers":      both.covers(own) && !own.covers(both),
		"public meets":      public.meets(exported("web", "*")) && !public.meets(own),
		"namespaces meet":   both.meets(exported("web", ".")) && !own.meets(exported("web", ".")),
	} {
		if !got {
			t.Error(name + ": no")
		}
	}
}

func TestApiVersion(t *testing.T) {
	for want, m := range map[string]policy.MeshFacts{
		"networking.istio.io/v1beta1":  {},
		"networking.istio.io/v1":       {Version: "1.24.3"},
		"networking.istio.io/v1alpha3": {Version: "1.24.3", APIVersions: map[string]string{"VirtualService": "networking.istio.io/v1alpha3"}},
	} {
		if got := apiVersion(&policy.Snapshot{Mesh: m}, "VirtualService"); got != want {
			t.Errorf("%+v: %s, want %s", m, got, want)
		}
	}
	if got := apiVersion(&policy.Snapshot{Mesh: policy.MeshFacts{Version: "1.20.8"}}, "VirtualService"); got != "networking.istio.io/v1beta1" {
		t.Errorf("1.20: %s", got)
	}
}

func TestPorts(t *testing.T) {
	svc := &unstructured.Unstructured{Object: tree{"spec": tree{"ports": []any{
		tree{"port": int64(1), "name": "http-web"}, tree{"port": int64(2), "name": "grpc"}, tree{"port": int64(3), "name": "tcp-db"},
		tree{"port": int64(4)}, tree{"port": int64(5), "name": "web"}, tree{"port": int64(6), "name": "web", "appProtocol": "kubernetes.io/h2c"},
		tree{"port": float64(7), "name": "http", "appProtocol": "tcp"}, tree{"port": int64(8), "protocol": "UDP"}, tree{"port": int64(9), "name": "https"},
	}}}}
	http := map[int64]bool{1: true, 2: true, 4: true, 5: true, 6: true}
	for _, p := range portsOf(svc) {
		if p.http != http[p.number] || p.grpc != (p.number == 2) {
			t.Errorf("port %d: %+v", p.number, p)
		}
	}
}

// TestWidest: the service's namespace goes before the root namespace, and there the most specific host.
func TestWidest(t *testing.T) {
	f := &finder{s: &policy.Snapshot{}, host: host{name: "cart", namespace: "shop"}}
	rule := func(ns, h string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: tree{"kind": "DestinationRule", "metadata": tree{"namespace": ns, "name": h}, "spec": tree{"host": h}}}
	}
	all := []*unstructured.Unstructured{
		rule("istio-system", "*.local"), rule("istio-system", "cart.shop.svc.cluster.local"), rule("istio-system", "*.shop.svc.cluster.local"),
		rule("shop", "*.local"), rule("shop", "*.shop.svc.cluster.local"),
	}
	for n, want := range []string{"", "*.local", "cart.shop.svc.cluster.local", "cart.shop.svc.cluster.local", "*.local", "*.shop.svc.cluster.local"} {
		got := ""
		if best := f.widest(all[:n]); best != nil {
			got = best.GetName()
		}
		if got != want {
			t.Errorf("of the first %d: %s, want %s", n, got, want)
		}
	}
	if f.rootNamespace() != "istio-system" {
		t.Error(f.rootNamespace())
	}
}

func TestNarrowingsOfMatches(t *testing.T) {
	for name, c := range map[string]struct {
		n    narrowing
		m    tree
		want string
	}{
		"nothing":                    {narrowing{}, tree{}, `{}`},
		"a path in a prefix":         {narrowing{path: "/a/b"}, tree{"uri": tree{"prefix": "/a"}}, `{"uri":{"exact":"/a/b"}}`},
		"a path outside":             {narrowing{path: "/b"}, tree{"uri": tree{"prefix": "/a"}}, `null`},
		"a path of a regex":          {narrowing{path: "/a/7"}, tree{"uri": tree{"regex": "/a/[0-9]"}}, `{"uri":{"exact":"/a/7"}}`},
		"a path not of a regex":      {narrowing{path: "/a/77"}, tree{"uri": tree{"regex": "/a/[0-9]"}}, `null`},
		"a path where case is lost":  {narrowing{path: "/A/b"}, tree{"uri": tree{"prefix": "/a"}, "ignoreUriCase": true}, `{"uri":{"exact":"/A/b"}}`},
		"a longer prefix":            {narrowing{path: "/a/b/", prefix: true}, tree{"uri": tree{"prefix": "/a"}}, `{"uri":{"prefix":"/a/b/"}}`},
		"a shorter prefix":           {narrowing{path: "/a/", prefix: true}, tree{"uri": tree{"prefix": "/a/b"}}, `{"uri":{"prefix":"/a/b"}}`},
		"an exact under a prefix":    {narrowing{path: "/a/", prefix: true}, tree{"uri": tree{"exact": "/a/b"}}, `{"uri":{"exact":"/a/b"}}`},
		"an exact beside a prefix":   {narrowing{path: "/a/", prefix: true}, tree{"uri": tree{"exact": "/b"}}, `null`},
		"a prefix and everything":    {narrowing{path: "/a/", prefix: true}, tree{"uri": tree{"regex": ".*"}}, `{"uri":{"prefix":"/a/"}}`},
		"a method":                   {narrowing{method: "GET"}, tree{}, `{"method":{"exact":"GET"}}`},
		"a method of a regex":        {narrowing{method: "GET"}, tree{"method": tree{"regex": "GET|PUT"}}, `{"method":{"exact":"GET"}}`},
		"another method":             {narrowing{method: "GET"}, tree{"method": tree{"exact": "PUT"}}, `null`},
		"a port":                     {narrowing{port: 80}, tree{}, `{"port":80}`},
		"another port":               {narrowing{port: 80}, tree{"port": float64(90)}, `null`},
		"what is not narrowed stays": {narrowing{method: "GET"}, tree{"headers": tree{"a": tree{"exact": "b"}}}, `{"headers":{"a":{"exact":"b"}},"method":{"exact":"GET"}}`},
	} {
		got, err := c.n.conjunction(c.m)
		if s := string(canonical(got)); err != nil || s != c.want {
			t.Errorf("%s: %s, %v, want %s", name, s, err, c.want)
		}
	}
	if _, err := (narrowing{path: "/a"}).conjunction(tree{"uri": tree{"regex": "("}}); err == nil {
		t.Error("a regex that does not compile is taken")
	}
}

// TestMergeKeyed: a subset's own policy goes back while somebody adds another subset.
func TestMergeKeyed(t *testing.T) {
	sub := func(name string, n int64) tree {
		return tree{"name": name, "trafficPolicy": tree{"portLevelSettings": []any{tree{"port": tree{"number": int64(80)}, "connectionPool": tree{"tcp": tree{"maxConnections": n}}}}}}
	}
	base := tree{"subsets": []any{sub("v1", 1), sub("v2", 1)}}
	ours := tree{"subsets": []any{sub("v1", 5), sub("v2", 5)}}
	live := tree{"subsets": []any{sub("v3", 9), sub("v2", 7), sub("v1", 5)}}
	m := &merger{}
	got := m.merge("spec", present(base), present(ours), present(live))
	want := tree{"subsets": []any{sub("v3", 9), sub("v2", 7), sub("v1", 1)}}
	if !same(got.v, want) {
		t.Errorf("got %s", canonical(got.v))
	}
	if len(m.conflicts) != 1 || m.conflicts[0].Field != "spec.subsets[v2].trafficPolicy.portLevelSettings[80].connectionPool.tcp.maxConnections" {
		t.Errorf("conflicts: %+v", m.conflicts)
	}
}

func TestNumbersAreEqualAcrossDecoders(t *testing.T) {
	if !same(tree{"a": int64(1)}, tree{"a": float64(1)}) || same(int64(1), "1") || integer(float64(3)) != 3 || integer("3") != 0 {
		t.Error("1 and 1.0 are one number, and no text is one")
	}
}
