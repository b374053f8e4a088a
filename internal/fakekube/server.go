// Package fakekube is a small in-process API server for tests: resourceVersions and their conflicts, dry runs,
// preconditions, patches, lists in chunks, rights, faults and port-forwards, over real HTTP. It validates nothing.
package fakekube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kind is a resource that the server serves. Kinds of one group are served in the order given: the first is preferred.
type Kind struct {
	Group, Version, Resource, Kind string
	Cluster                        bool
}

func (k Kind) apiVersion() string { return strings.TrimPrefix(k.Group+"/"+k.Version, "/") }

// Builtin are the kinds of Kubernetes itself that meshpol uses.
func Builtin() []Kind {
	return []Kind{
		{Version: "v1", Resource: "services", Kind: "Service"}, {Version: "v1", Resource: "pods", Kind: "Pod"},
		{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}, {Version: "v1", Resource: "namespaces", Kind: "Namespace", Cluster: true},
		{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Kind: "Lease"},
		{Group: "apps", Version: "v1", Resource: "controllerrevisions", Kind: "ControllerRevision"},
	}
}

// Istio are Istio's kinds, as Istio 1.24 serves them.
func Istio() []Kind {
	var out []Kind
	add := func(group, resource, kind string, versions ...string) {
		for _, v := range versions {
			out = append(out, Kind{Group: group, Version: v, Resource: resource, Kind: kind})
		}
	}
	add("networking.istio.io", "virtualservices", "VirtualService", "v1", "v1beta1", "v1alpha3")
	add("networking.istio.io", "destinationrules", "DestinationRule", "v1", "v1beta1", "v1alpha3")
	add("networking.istio.io", "gateways", "Gateway", "v1", "v1beta1", "v1alpha3")
	add("networking.istio.io", "sidecars", "Sidecar", "v1", "v1beta1", "v1alpha3")
	add("networking.istio.io", "serviceentries", "ServiceEntry", "v1", "v1beta1", "v1alpha3")
	add("networking.istio.io", "envoyfilters", "EnvoyFilter", "v1alpha3")
	add("security.istio.io", "peerauthentications", "PeerAuthentication", "v1", "v1beta1")
	add("security.istio.io", "authorizationpolicies", "AuthorizationPolicy", "v1", "v1beta1")
	return out
}

// Request is one request that the server has seen.
type Request struct{ Method, Path, Query, Manager string }

// Server is a running API server. Its methods may be called while it serves.
type Server struct {
	*httptest.Server
	// Aggregated tells that discovery answers in one piece, as Kubernetes does since 1.26.
	Aggregated bool
	// User is the name that SelfSubjectReview answers.
	User string
	// ChunkLimit bounds every list, whatever the client asks for; 0: no bound.
	ChunkLimit int

	mu       sync.Mutex
	kinds    []Kind
	objects  map[string]*unstructured.Unstructured
	version  int64
	rules    []rule
	requests []Request
	forwards map[string]http.Handler
	// Before, where it is set, is called before every request, without any lock.
	Before func(*http.Request)
}

// rule answers matching requests with an error.
type rule struct {
	match func(*http.Request) bool
	times int
	write func(http.ResponseWriter, *http.Request)
}

// New starts a server; Close ends it.
func New(kinds ...Kind) *Server {
	s := &Server{
		Aggregated: true, User: "tester", kinds: append(Builtin(), kinds...),
		objects: map[string]*unstructured.Unstructured{}, version: 100, forwards: map[string]http.Handler{},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Transport serves requests without a network, for tests in virtual time (testing/synctest).
func (s *Server) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ server *Server }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.server.serve(w, r)
	return w.Result(), r.Context().Err()
}

// Requests are the requests seen so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count is how many requests of a method had a path that contains part.
func (s *Server) Count(method, part string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == method && strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

// Fail answers the next requests of a method and path part with a status; times < 0: for ever.
func (s *Server) Fail(method, part string, times, code int, reason metav1.StatusReason, message string) {
	s.rule(method, part, times, func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, code, reason, message) })
}

// Handle answers the next requests of a method and path part as the function does.
func (s *Server) Handle(method, part string, times int, write func(http.ResponseWriter, *http.Request)) {
	s.rule(method, part, times, write)
}

// Deny takes a right away, with the words of the API server's authorizer. An empty namespace denies lists of all
// namespaces only.
func (s *Server) Deny(verb, group, resource, namespace string) {
	message := fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group %q", resource, s.User, verb, resource, group)
	if namespace != "" {
		message += fmt.Sprintf(" in the namespace %q", namespace)
	} else {
		message += " at the cluster scope"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{times: -1, match: func(r *http.Request) bool {
		p := parsePath(r.URL.Path)
		return p.verb(r.Method) == verb && p.group == group && p.full() == resource && p.namespace == namespace
	}, write: func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusForbidden, metav1.StatusReasonForbidden, message)
	}})
}

// Allow takes back every Fail, Handle and Deny.
func (s *Server) Allow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

func (s *Server) rule(method, part string, times int, write func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, rule{times: times, write: write, match: func(r *http.Request) bool {
		return r.Method == method && strings.Contains(r.URL.Path, part)
	}})
}

// ruleFor gives the answer of the first rule that matches.
func (s *Server) ruleFor(r *http.Request) func(http.ResponseWriter, *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Manager: r.URL.Query().Get("fieldManager")})
	for i := range s.rules {
		if s.rules[i].times != 0 && s.rules[i].match(r) {
			if s.rules[i].times > 0 {
				s.rules[i].times--
			}
			return s.rules[i].write
		}
	}
	return nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil {
		s.Before(r)
	}
	if write := s.ruleFor(r); write != nil {
		write(w, r)
		return
	}
	switch {
	case r.URL.Path == "/apis" || (strings.Count(r.URL.Path, "/") == 3 && strings.HasPrefix(r.URL.Path, "/apis/")):
		s.discovery(w, r)
	case strings.HasSuffix(r.URL.Path, "selfsubjectreviews"):
		writeJSON(w, http.StatusCreated, map[string]any{"status": map[string]any{"userInfo": map[string]any{"username": s.User}}})
	case strings.HasSuffix(r.URL.Path, "selfsubjectaccessreviews"):
		writeJSON(w, http.StatusCreated, map[string]any{"status": map[string]any{"allowed": true}})
	default:
		s.resource(w, r, parsePath(r.URL.Path))
	}
}

// discovery answers in one piece or group by group.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/apis" {
		s.groupVersion(w, strings.TrimPrefix(r.URL.Path, "/apis/"))
		return
	}
	var groups []string
	versions := map[string][]string{}
	for _, k := range s.kinds {
		if k.Group == "" {
			continue
		}
		if !slices.Contains(groups, k.Group) {
			groups = append(groups, k.Group)
		}
		if !slices.Contains(versions[k.Group], k.Version) {
			versions[k.Group] = append(versions[k.Group], k.Version)
		}
	}
	if s.Aggregated && strings.Contains(r.Header.Get("Accept"), "APIGroupDiscoveryList") {
		s.aggregate(w, groups, versions)
		return
	}
	list := map[string]any{"kind": "APIGroupList", "apiVersion": "v1"}
	var out []any
	for _, g := range groups {
		var vs []any
		for _, v := range versions[g] {
			vs = append(vs, map[string]any{"groupVersion": g + "/" + v, "version": v})
		}
		out = append(out, map[string]any{"name": g, "versions": vs, "preferredVersion": vs[0]})
	}
	list["groups"] = out
	writeJSON(w, http.StatusOK, list)
}

func (s *Server) aggregate(w http.ResponseWriter, groups []string, versions map[string][]string) {
	var items []any
	for _, g := range groups {
		var vs []any
		for _, v := range versions[g] {
			var resources []any
			for _, k := range s.kinds {
				if k.Group == g && k.Version == v {
					scope := "Namespaced"
					if k.Cluster {
						scope = "Cluster"
					}
					resources = append(resources, map[string]any{"resource": k.Resource, "scope": scope, "responseKind": map[string]any{"kind": k.Kind}})
				}
			}
			vs = append(vs, map[string]any{"version": v, "resources": resources})
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": g}, "versions": vs})
	}
	writeJSON(w, http.StatusOK, map[string]any{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
}

func (s *Server) groupVersion(w http.ResponseWriter, gv string) {
	var resources []any
	for _, k := range s.kinds {
		if k.Group+"/"+k.Version == gv {
			resources = append(resources, map[string]any{"name": k.Resource, "kind": k.Kind, "namespaced": !k.Cluster},
				map[string]any{"name": k.Resource + "/status", "kind": k.Kind, "namespaced": !k.Cluster})
		}
	}
	if resources == nil {
		writeStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"kind": "APIResourceList", "groupVersion": gv, "resources": resources})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nothing to tell it
}

func writeStatus(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	writeJSON(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message,
	})
}
