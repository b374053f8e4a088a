package istio_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

const cohortLabel = "cohort.meshpol.io/b874fdbf0b"

func pathsAsked() []string {
	return []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/b/c", "/A/b"}
}

// drawn makes a JSON object whose fields may be missing.
type drawn struct {
	t *rapid.T
	n int
}

func (d *drawn) label() string { d.n++; return fmt.Sprint(d.n) }

func (d *drawn) chance(percent int) bool {
	return rapid.IntRange(1, 100).Draw(d.t, d.label()) <= percent
}

func (d *drawn) of(values ...string) string { return rapid.SampledFrom(values).Draw(d.t, d.label()) }

func (d *drawn) maybe(n node, key string, percent int, v func() any) {
	if d.chance(percent) {
		n[key] = v()
	}
}

func (d *drawn) match(gateways bool) node {
	m := node{}
	d.maybe(m, "uri", 70, func() any {
		switch d.of("exact", "prefix", "prefix", "regex") {
		case "exact":
			return node{"exact": d.of("/a", "/a/b", "/b")}
		case "prefix":
			return node{"prefix": d.of("/", "/a", "/a/", "/a/b", "/b")}
		}
		return node{"regex": d.of("/a/.*", ".*", "/[ab]")}
	})
	if m["uri"] != nil {
		d.maybe(m, "ignoreUriCase", 25, func() any { return true })
	}
	d.maybe(m, "method", 20, func() any {
		return []any{node{"exact": "GET"}, node{"regex": "GET|POST"}}[rapid.IntRange(0, 1).Draw(d.t, d.label())]
	})
	d.maybe(m, "headers", 20, func() any { return node{"x-user": node{"exact": d.of("ann", "bob")}} })
	d.maybe(m, "port", 15, func() any { return int64(80) })
	d.maybe(m, "sourceLabels", 10, func() any { return node{"app": "web"} })
	d.maybe(m, "statPrefix", 10, func() any { return "own" })
	if gateways {
		d.maybe(m, "gateways", 30, func() any {
			return []any{[]any{"mesh"}, []any{"edge/gw"}, []any{"mesh", "edge/gw"}}[rapid.IntRange(0, 2).Draw(d.t, d.label())]
		})
	}
	return m
}

func (d *drawn) entry(gateways bool) node {
	e := node{}
	d.maybe(e, "name", 50, func() any { return d.of("r1", "r2", "r3") })
	var ms []any
	for range rapid.IntRange(0, 2).Draw(d.t, d.label()) {
		ms = append(ms, d.match(gateways))
	}
	if ms != nil {
		e["match"] = ms
	}
	if d.chance(10) {
		e["redirect"] = node{"uri": "/elsewhere"}
		return e
	}
	e["route"] = d.route()
	d.maybe(e, "timeout", 40, func() any { return d.of("1s", "5s") })
	d.maybe(e, "retries", 40, func() any {
		return node{"attempts": int64(3), "retryOn": "5xx", "retryRemoteLocalities": true}
	})
	d.maybe(e, "rewrite", 30, func() any { return node{"uri": d.of("/", "/in", "/in/")} })
	d.maybe(e, "headers", 20, func() any { return node{"request": node{"set": node{"x-a": "b"}}} })
	d.maybe(e, "mirror", 10, func() any { return node{"host": "cart"} })
	return e
}

func (d *drawn) route() []any {
	to := func(host, subset string, weight int64) node {
		dest := node{"host": host}
		if subset != "" {
			dest["subset"] = subset
		}
		n := node{"destination": dest}
		if weight > 0 {
			n["weight"] = weight
		}
		return n
	}
	switch d.of("cart", "cart", "fqdn", "subsets", "other", "mixed") {
	case "other":
		return []any{to("stock", "", 0)}
	case "subsets":
		return []any{to("cart", "v1", 75), to("cart.shop", "v2", 25)}
	case "mixed":
		return []any{to("cart", "", 75), to("stock", "", 25)}
	case "fqdn":
		return []any{to("cart.shop.svc.cluster.local", "", 100)}
	}
	return []any{to("cart", "", 0)}
}

func (d *drawn) virtualService() *unstructured.Unstructured {
	s := node{"hosts": []any{"cart"}}
	gateways := d.chance(30)
	if gateways {
		s["gateways"] = []any{"mesh", "edge/gw"}
	}
	var entries []any
	for range rapid.IntRange(1, 4).Draw(d.t, d.label()) {
		entries = append(entries, d.entry(gateways))
	}
	s["http"] = entries
	return object("VirtualService", s)
}

func object(kind string, spec node) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: node{
		"apiVersion": "networking.istio.io/v1", "kind": kind,
		"metadata": node{"name": "cart", "namespace": "shop"}, "spec": spec,
	}}
}

func (d *drawn) policyOf(what string) node {
	p := node{}
	if what != "route" {
		d.maybe(p, "connectionPool", 60, func() any {
			return node{"tcp": node{"maxConnections": int64(7), "connectTimeout": "1s"}, "http": node{"http2MaxRequests": int64(9), "idleTimeout": "5s"}}
		})
		d.maybe(p, "outlierDetection", 50, func() any { return node{"consecutive5xxErrors": int64(50), "minHealthPercent": int64(10)} })
		d.maybe(p, "loadBalancer", 40, func() any { return node{"simple": d.of("RANDOM", "LEAST_REQUEST")} })
		d.maybe(p, "tls", 40, func() any { return node{"mode": "ISTIO_MUTUAL"} })
	}
	return p
}

func (d *drawn) level() node {
	p := d.policyOf("level")
	var ports []any
	for _, n := range []int64{80, 90} {
		if d.chance(30) {
			s := d.policyOf("port")
			s["port"] = node{"number": n}
			ports = append(ports, s)
		}
	}
	if ports != nil {
		p["portLevelSettings"] = ports
	}
	return p
}

// destinationRule has the subsets v1 and v2, since routes may name them.
func (d *drawn) destinationRule() *unstructured.Unstructured {
	s := node{"host": "cart"}
	d.maybe(s, "trafficPolicy", 70, func() any { return d.level() })
	var subsets []any
	for _, name := range []string{"v1", "v2"} {
		sub := node{"name": name, "labels": node{"version": name}}
		d.maybe(sub, "trafficPolicy", 60, func() any { return d.level() })
		subsets = append(subsets, sub)
	}
	s["subsets"] = subsets
	return object("DestinationRule", s)
}

func service() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: node{
		"apiVersion": "v1", "kind": "Service", "metadata": node{"name": "cart", "namespace": "shop"},
		"spec": node{"ports": []any{node{"name": "http", "port": int64(80)}, node{"name": "http-b", "port": int64(90)}}},
	}}
}

func (d *drawn) target() v1alpha1.Target {
	t := v1alpha1.Target{Service: "cart"}
	if d.chance(20) {
		p := int32(80)
		t.Port = &p
	}
	if d.chance(50) {
		for range rapid.IntRange(1, 2).Draw(d.t, d.label()) {
			t.Routes = append(t.Routes, d.ref())
		}
	}
	return t
}

func (d *drawn) ref() v1alpha1.RouteRef {
	if d.chance(30) {
		return v1alpha1.RouteRef{Name: d.of("r1", "r2")}
	}
	return v1alpha1.RouteRef{Path: d.of("/a", "/a/b", "/a/*", "/a/b/*", "*"), Method: d.of("", "", "GET", "POST")}
}

func (d *drawn) policies() []policy.Policy {
	var out []policy.Policy
	if d.chance(80) {
		o := &v1alpha1.Timeout{Spec: v1alpha1.TimeoutSpec{Target: d.target(), Request: ms(250)}}
		if d.chance(15) {
			o.Spec.Request = ms(0)
		}
		out = append(out, named("Timeout", o))
	}
	if d.chance(60) || len(out) == 0 {
		out = append(out, named("Retry", &v1alpha1.Retry{Spec: v1alpha1.RetrySpec{Target: d.target(), Attempts: 1, PerTryTimeout: ms(100)}}))
	}
	return out
}

func named(kind string, o v1alpha1.PolicyObject) policy.Policy {
	*o.Type() = v1alpha1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: kind}
	o.Meta().Name, o.Meta().Namespace = "cart-"+kind, "shop"
	return policy.Policy{Key: policy.Key{Kind: kind, Namespace: "shop", Name: "cart-" + kind}, Object: o}
}

func changeOf(ps ...policy.Policy) policy.Change {
	return policy.Change{Target: policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"}, Policies: ps, Rev: rev}
}

func (d *drawn) asked() asked {
	r := asked{
		path: d.of(pathsAsked()...), method: d.of("GET", "POST"), headers: map[string]string{}, port: 80,
		gateway: "mesh", labels: map[string]string{}, namespace: "shop",
	}
	if d.chance(30) {
		r.port = 90
	}
	if d.chance(30) {
		r.headers["x-user"] = d.of("ann", "bob")
	}
	if d.chance(25) {
		r.gateway = "edge/gw"
	}
	if d.chance(40) {
		r.labels["app"] = "web"
	}
	r.headers["x-request-id"] = rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[479ab][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`).Draw(d.t, d.label())
	return r
}
