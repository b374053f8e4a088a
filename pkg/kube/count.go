package kube

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// counter counts requests by verb and resource, so that "requests per step" is a number and not a hope.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func newCounter() *counter { return &counter{count: map[string]int{}} }

func (c *counter) snapshot() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.count)
}

func (c *counter) wrap(next http.RoundTripper) http.RoundTripper { return counting{c, next} }

// counting counts requests on their way.
type counting struct {
	*counter
	next http.RoundTripper
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	key := requestKey(r)
	c.mu.Lock()
	c.count[key]++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

// WrappedRoundTripper lets client-go find the transport below, to cancel requests.
func (c counting) WrappedRoundTripper() http.RoundTripper { return c.next }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// requestKey is "verb resource" as RBAC names them: "list pods", "get pods/proxy", "update virtualservices".
func requestKey(r *http.Request) string {
	resource, named := resourceOf(r.URL.Path)
	return verbOf(r.Method, named) + " " + resource
}

func verbOf(method string, named bool) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		if named {
			return "get"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	default:
		return strings.ToLower(method)
	}
}

// resourceOf reads the resource out of an API path. Paths that are no resource (discovery, health) count as "server".
func resourceOf(path string) (resource string, named bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		parts = parts[3:]
	default:
		return "server", true
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2], true
	}
	return parts[0], len(parts) > 1
}
