package istio

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// narrowing is what a policy's target adds to the service: zero parts are not narrowed.
type narrowing struct {
	port   int64
	path   string
	prefix bool
	method string
}

// narrowingOf reads a route reference; a prefix of everything is none.
func narrowingOf(ref v1alpha1.RouteRef, port int64) narrowing {
	n := narrowing{port: port, path: ref.Path, method: ref.Method}
	if p, ok := strings.CutSuffix(n.path, "*"); ok {
		n.path, n.prefix = p, true
	}
	if n.prefix && (n.path == "" || n.path == "/") {
		n.path, n.prefix = "", false
	}
	return n
}

// conjunction is a match of the user's and a narrowing together. It is nil where nothing fits both, and an error text
// where Istio's match cannot say it. With it comes the path that the match now starts at, for prefix rewrites.
func (n narrowing) conjunction(match tree) (tree, error) {
	out := copyTree(match)
	for _, part := range []func(tree) (bool, error){n.withPort, n.withMethod, n.withPath} {
		if fits, err := part(out); err != nil || !fits {
			return nil, err
		}
	}
	return out, nil
}

func (n narrowing) withPort(m tree) (bool, error) {
	if n.port == 0 {
		return true, nil
	}
	if m["port"] == nil {
		m["port"] = n.port
	}
	return integer(m["port"]) == n.port, nil
}

func (n narrowing) withMethod(m tree) (bool, error) {
	if n.method == "" {
		return true, nil
	}
	fits, err := accepts(asTree(m["method"]), n.method)
	m["method"] = tree{"exact": n.method}
	return fits, err
}

func (n narrowing) withPath(m tree) (bool, error) {
	if n.path == "" {
		return true, nil
	}
	if n.prefix {
		return n.withPrefix(m)
	}
	uri, path := asTree(m["uri"]), n.path
	if fold, _ := m["ignoreUriCase"].(bool); fold {
		uri, path = lowered(uri), strings.ToLower(path)
		delete(m, "ignoreUriCase")
	}
	fits, err := accepts(uri, path)
	m["uri"] = tree{"exact": n.path}
	return fits, err
}

// accepts tells whether a string match takes one value.
func accepts(match tree, value string) (bool, error) {
	if v, ok := match["exact"]; ok {
		return text(v) == value, nil
	}
	if v, ok := match["prefix"]; ok {
		return strings.HasPrefix(value, text(v)), nil
	}
	v, ok := match["regex"]
	if !ok {
		return true, nil
	}
	re, err := regexp.Compile("^(?:" + text(v) + ")$")
	if err != nil {
		return false, fmt.Errorf("the route's own regex %q does not compile", text(v))
	}
	return re.MatchString(value), nil
}

func lowered(match tree) tree {
	out := copyTree(match)
	for _, k := range []string{"exact", "prefix"} {
		if v, ok := out[k]; ok {
			out[k] = strings.ToLower(text(v))
		}
	}
	if v, ok := out["regex"]; ok {
		out["regex"] = "(?i)" + text(v)
	}
	return out
}

// withPrefix narrows to a path prefix: the longer of two prefixes is both of them.
func (n narrowing) withPrefix(m tree) (bool, error) {
	uri := asTree(m["uri"])
	if fold, _ := m["ignoreUriCase"].(bool); fold && len(uri) > 0 {
		return false, fmt.Errorf("the route's own match ignores the case of the path")
	}
	if v, ok := uri["exact"]; ok {
		return strings.HasPrefix(text(v), n.path), nil
	}
	if v, ok := uri["regex"]; ok && text(v) != ".*" && text(v) != "/.*" {
		return false, fmt.Errorf("the route's own match has the regex %q for the path", text(v))
	}
	own := text(uri["prefix"])
	if strings.HasPrefix(own, n.path) {
		return true, nil
	}
	m["uri"] = tree{"prefix": n.path}
	return strings.HasPrefix(n.path, own), nil
}

// start is the beginning of the path that a match takes: what Envoy's prefix rewrite replaces. It is false for a
// regex, where the whole path is replaced.
func start(m tree) (string, bool) {
	uri := asTree(m["uri"])
	switch {
	case uri["regex"] != nil:
		return "", false
	case uri["exact"] != nil:
		return text(uri["exact"]), true
	case uri["prefix"] != nil:
		return text(uri["prefix"]), true
	}
	return "/", true
}

// rewritten is the uri rewrite of an entry for a narrower match, so that the server still sees the same path: Envoy
// replaces what was matched, and more is matched now.
func rewritten(rewrite string, old, now tree) (string, error) {
	before, ok := start(old)
	after, _ := start(now)
	if !ok && field(now, "uri", "prefix") != nil {
		return "", fmt.Errorf("the route rewrites the whole path of a regex")
	}
	if !ok || len(after) < len(before) {
		return rewrite, nil
	}
	return rewrite + after[len(before):], nil
}

// disjoint tells whether two matches can be shown to take no request in common.
func disjoint(a, b tree) bool {
	if pa, pb := integer(a["port"]), integer(b["port"]); pa != 0 && pb != 0 && pa != pb {
		return true
	}
	if ma, mb := text(field(a, "method", "exact")), text(field(b, "method", "exact")); ma != "" && mb != "" && ma != mb {
		return true
	}
	return disjointPaths(asTree(a["uri"]), asTree(b["uri"]))
}

func disjointPaths(a, b tree) bool {
	ea, oka := a["exact"]
	eb, okb := b["exact"]
	pa, pb := text(a["prefix"]), text(b["prefix"])
	switch {
	case oka && okb:
		return ea != eb
	case oka && pb != "":
		return !strings.HasPrefix(text(ea), pb)
	case okb && pa != "":
		return !strings.HasPrefix(text(eb), pa)
	case pa != "" && pb != "":
		return !strings.HasPrefix(pa, pb) && !strings.HasPrefix(pb, pa)
	}
	return false
}

// covers tells whether a match can be shown to take every request that another one takes.
func covers(wide, m tree) bool {
	for k, v := range wide {
		switch k {
		case "name", "statPrefix":
		case "uri":
			if (m["ignoreUriCase"] != nil && !same(v, m[k])) || !coversPath(asTree(v), asTree(m["uri"])) {
				return false
			}
		default:
			if !same(v, m[k]) {
				return false
			}
		}
	}
	return true
}

func coversPath(wide, uri tree) bool {
	if same(wide, uri) {
		return true
	}
	prefix, ok := wide["prefix"]
	if !ok {
		return false
	}
	for _, k := range []string{"exact", "prefix"} {
		if v, ok := uri[k]; ok {
			return strings.HasPrefix(text(v), text(prefix))
		}
	}
	return text(prefix) == "/"
}
