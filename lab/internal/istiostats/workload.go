package istiostats

import "cmp"

// Workload is what a proxy tells of itself, and learns of its peer.
type Workload struct {
	Name, Namespace string
	// App and Version are the labels of these names; empty where the pod has none.
	App, Version string
	// CanonicalService and CanonicalRevision are Istio's names for the service and its version.
	CanonicalService, CanonicalRevision string
	Cluster                             string
	// Principal is the identity in the pod's certificate, a SPIFFE URI.
	Principal string
	// TLS pods say by Istio's label that their proxy takes mutual TLS; others get plain text unless a policy says otherwise.
	TLS bool
}

// Directory knows who is behind an address. Its methods are called for every request.
type Directory interface {
	// Workload is the pod of an address; false for addresses outside the mesh's cluster.
	Workload(address string) (Workload, bool)
	// Service is the full name of the service whose requests a port of a pod gets; false if there is none.
	Service(address string, port string) (string, bool)
	// Host is the full name of the service that a host means in a namespace; false if there is none.
	Host(namespace, host string) (string, bool)
}

// NewWorkload derives the names from a pod's labels as Istio does.
func NewWorkload(name, namespace string, podLabels map[string]string) Workload {
	return Workload{
		Name: name, Namespace: namespace, App: podLabels["app"], Version: podLabels["version"],
		TLS: podLabels["security.istio.io/tlsMode"] == "istio",
		CanonicalService: cmp.Or(podLabels["service.istio.io/canonical-name"], podLabels["app.kubernetes.io/name"],
			podLabels["app"], name),
		CanonicalRevision: cmp.Or(podLabels["service.istio.io/canonical-revision"],
			podLabels["app.kubernetes.io/version"], podLabels["version"], latest),
	}
}

// side is the workload's end of a request; the zero Workload is an unknown one.
func (w Workload) side(principal string) side {
	return side{
		workload: cmp.Or(w.Name, unknown), namespace: cmp.Or(w.Namespace, unknown),
		principal: cmp.Or(principal, unknown), app: cmp.Or(w.App, unknown), version: cmp.Or(w.Version, unknown),
		service: cmp.Or(w.CanonicalService, unknown), revision: cmp.Or(w.CanonicalRevision, latest),
		cluster: cmp.Or(w.Cluster, unknown),
	}
}
