package xds

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Scope is a part of a proxy's configuration.
type Scope string

// The scopes that markers are looked for in.
const (
	Routes    Scope = "routes"
	Clusters  Scope = "clusters"
	Listeners Scope = "listeners"
)

// The type URLs of the xDS types that we look at.
const (
	typePrefix   = "type.googleapis.com/envoy.config."
	typeCluster  = typePrefix + "cluster.v3.Cluster"
	typeEndpoint = typePrefix + "endpoint.v3.ClusterLoadAssignment"
	typeListener = typePrefix + "listener.v3.Listener"
	typeRoute    = typePrefix + "route.v3.RouteConfiguration"
)

// Watch is what istiod notes of one type of one proxy.
type Watch struct {
	// Sent and Acked are the nonces of the last response and of the last one that the proxy acknowledged.
	Sent, Acked string
	// Error is Envoy's text where it refused the last response; Istio before 1.23 does not tell.
	Error string
}

// Settled tells that nothing is under way.
func (w Watch) Settled() bool { return w.Sent == w.Acked }

// Status is what one istiod notes of one connected proxy.
type Status struct {
	// Proxy is namespace/pod, Cluster the Kubernetes cluster it is in, Type sidecar, router, waypoint or another.
	Proxy, Cluster, Type                   string
	Routes, Clusters, Endpoints, Listeners Watch
}

// watch is the Watch that decides about a scope.
func (s Status) watch(scope Scope) Watch {
	switch scope {
	case Clusters:
		return s.Clusters
	case Listeners:
		return s.Listeners
	default:
		return s.Routes
	}
}

// wireStatus is the JSON of /debug/syncz.
type wireStatus struct {
	Cluster       string `json:"cluster_id"`
	Proxy         string `json:"proxy"`
	Type          string `json:"proxy_type"`
	ClusterSent   string `json:"cluster_sent"`
	ClusterAcked  string `json:"cluster_acked"`
	ListenerSent  string `json:"listener_sent"`
	ListenerAcked string `json:"listener_acked"`
	RouteSent     string `json:"route_sent"`
	RouteAcked    string `json:"route_acked"`
	EndpointSent  string `json:"endpoint_sent"`
	EndpointAcked string `json:"endpoint_acked"`
	Resources     map[string]struct {
		LastError string `json:"lastError"`
	} `json:"resources"`
}

// ParseSyncz decodes what istiod answers to /debug/syncz, one proxy after the other.
func ParseSyncz(r io.Reader) ([]Status, error) {
	d := json.NewDecoder(r)
	switch t, err := d.Token(); {
	case err != nil:
		return nil, fmt.Errorf("decoding istiod's synchronisation status: %w", err)
	case t != json.Delim('['):
		return nil, fmt.Errorf("decoding istiod's synchronisation status: it begins with %v, not with a list", t)
	}
	var out []Status
	for d.More() {
		var w wireStatus
		if err := d.Decode(&w); err != nil {
			return nil, fmt.Errorf("decoding istiod's synchronisation status: %w", err)
		}
		out = append(out, w.status())
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("decoding istiod's synchronisation status: %w", err)
	}
	return out, nil
}

func (w wireStatus) status() Status {
	lastError := func(typeURL string) string { return w.Resources[typeURL].LastError }
	return Status{
		Proxy: podOf(w.Proxy), Cluster: w.Cluster, Type: w.Type,
		Routes:    Watch{Sent: w.RouteSent, Acked: w.RouteAcked, Error: lastError(typeRoute)},
		Clusters:  Watch{Sent: w.ClusterSent, Acked: w.ClusterAcked, Error: lastError(typeCluster)},
		Endpoints: Watch{Sent: w.EndpointSent, Acked: w.EndpointAcked, Error: lastError(typeEndpoint)},
		Listeners: Watch{Sent: w.ListenerSent, Acked: w.ListenerAcked, Error: lastError(typeListener)},
	}
}

// podOf turns istiod's name of a proxy (pod.namespace; only the pod's name may have dots) into namespace/pod.
func podOf(id string) string {
	i := strings.LastIndexByte(id, '.')
	if i < 0 {
		return id
	}
	return id[i+1:] + "/" + id[:i]
}
