package istio_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A small evaluator of VirtualServices and DestinationRules, written from Istio's and Envoy's sources and not from the
// compiler: what one request meets, and what one cluster looks like. Properties compare worlds through it.

type node = map[string]any

func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(node)
		v = m[p]
	}
	return v
}

func nodes(v any) []node {
	l, _ := v.([]any)
	var out []node
	for _, e := range l {
		out = append(out, e.(node))
	}
	return out
}

func str(v any) string { s, _ := v.(string); return s }

func num(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// asked is one request as the proxy of one client sees it.
type asked struct {
	path, method string
	headers      map[string]string
	port         int64
	gateway      string
	labels       map[string]string
	namespace    string
}

// met is what a request meets: everything of its route but names and statistics.
type met struct {
	Found   bool
	Action  string
	Path    string
	Timeout string
	Retries string
}

// evaluate finds the entry that takes a request, and what it does to it.
func evaluate(vs *unstructured.Unstructured, r asked) (met, node) {
	for _, e := range nodes(at(vs.Object, "spec", "http")) {
		ms := nodes(e["match"])
		if len(ms) == 0 {
			ms = []node{{}}
		}
		for _, m := range ms {
			if takes(m, r) {
				return result(e, m, r), e
			}
		}
	}
	return met{}, nil
}

func result(e, m node, r asked) met {
	out := met{Found: true, Path: r.path}
	rest := node{}
	for k, v := range e {
		switch k {
		case "name", "match", "timeout", "retries":
		case "rewrite":
			out.Path = rewrite(str(at(v, "uri")), m, r.path)
		default:
			rest[k] = v
		}
	}
	out.Action, out.Timeout, out.Retries = asJSON(rest), str(e["timeout"]), asJSON(e["retries"])
	return out
}

func asJSON(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func fromJSON(s string) node {
	out := node{}
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		panic(err)
	}
	return out
}

// rewrite does what Envoy's prefix_rewrite does: it replaces what was matched, of a regex the whole path.
func rewrite(to string, m node, path string) string {
	uri, _ := m["uri"].(node)
	switch {
	case to == "":
		return path
	case uri["regex"] != nil, uri["exact"] != nil:
		return to
	case uri["prefix"] != nil:
		return to + path[len(str(uri["prefix"])):]
	}
	return to + path[1:]
}

// takes is istiod's sorting by proxy (route.go, sourceMatchHTTP) and Envoy's matching of the request.
func takes(m node, r asked) bool {
	if gs, ok := m["gateways"].([]any); ok && len(gs) > 0 {
		if !slices.Contains(gs, any(r.gateway)) {
			return false
		}
	} else {
		ls, _ := m["sourceLabels"].(node)
		for k, v := range ls {
			if r.labels[k] != str(v) {
				return false
			}
		}
		if ns := str(m["sourceNamespace"]); ns != "" && ns != r.namespace {
			return false
		}
	}
	if p := num(m["port"]); p != 0 && p != r.port {
		return false
	}
	fold, _ := m["ignoreUriCase"].(bool)
	if !stringTakes(m["uri"], r.path, fold) || !stringTakes(m["method"], r.method, false) {
		return false
	}
	hs, _ := m["headers"].(node)
	for h, v := range hs {
		got, ok := r.headers[strings.ToLower(h)]
		if !ok || !stringTakes(v, got, false) {
			return false
		}
	}
	return true
}

func stringTakes(v any, s string, fold bool) bool {
	m, _ := v.(node)
	for k, x := range m {
		want := str(x)
		if fold && k != "regex" {
			want, s = strings.ToLower(want), strings.ToLower(s)
		}
		switch k {
		case "exact":
			return s == want
		case "prefix":
			return strings.HasPrefix(s, want)
		case "regex":
			return regexp.MustCompile(`\A(?:` + want + `)\z`).MatchString(s)
		}
	}
	return true
}

// clusters are the policies of all clusters of a DestinationRule, by "subset|port", as Istio merges them
// (networking/util MergeSubsetTrafficPolicy).
func clusters(dr *unstructured.Unstructured, ports ...int64) map[string]string {
	out := map[string]string{}
	top, _ := at(dr.Object, "spec", "trafficPolicy").(node)
	for _, p := range ports {
		out[fmt.Sprintf("|%d", p)] = asJSON(without(forPort(top, p)))
		for _, s := range nodes(at(dr.Object, "spec", "subsets")) {
			own, _ := s["trafficPolicy"].(node)
			out[fmt.Sprintf("%s|%d", str(s["name"]), p)] = asJSON(without(mergedFor(top, own, p))) + asJSON(s["labels"])
		}
	}
	return out
}

func blocks() []string { return []string{"connectionPool", "outlierDetection", "loadBalancer", "tls"} }

// forPort is the policy of a level for a port: settings of the port replace it wholesale.
func forPort(policy node, port int64) node {
	for _, s := range nodes(policy["portLevelSettings"]) {
		if num(at(s, "port", "number")) == port {
			out := node{"hasPort": true}
			for _, b := range blocks() {
				if s[b] != nil {
					out[b] = s[b]
				}
			}
			return out
		}
	}
	return policy
}

func mergedFor(top, own node, port int64) node {
	out := node{}
	for k, v := range forPort(top, port) {
		out[k] = v
	}
	if own == nil {
		return out
	}
	sub := forPort(own, port)
	if sub["hasPort"] != nil {
		for _, b := range blocks() {
			delete(out, b)
		}
	}
	for k, v := range sub {
		out[k] = v
	}
	return out
}

func without(p node) node {
	out := node{}
	for k, v := range p {
		if k != "portLevelSettings" && k != "hasPort" {
			out[k] = v
		}
	}
	return out
}
