package policy

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Snapshot is everything that decisions may know about a cluster, read once. Nobody edits it.
type Snapshot struct {
	// Cluster is the name of the kubeconfig context.
	Cluster string
	// Mesh is the mesh found.
	Mesh MeshFacts
	// Objects are the mesh resources, Gateways, Services and ServiceEntries of all namespaces that could be read.
	Objects []*unstructured.Unstructured
	// Pods are the pods of the namespaces that matter, without their specs.
	Pods []Pod
	// Taken is when it was read, on the runner's clock.
	Taken time.Time
	// Unread says what could not be read and why, one line each: decisions were made without it.
	Unread []string
	// Metrics says, by host, what the metrics source has beside the proxies' own statistics. Hosts that nothing is known
	// of are not in it.
	Metrics map[string]MetricFacts
}

// MetricFacts says what a metrics source has of a host.
type MetricFacts struct {
	// Standard tells that the mesh's standard metrics of the host's clients are there.
	Standard bool
	// Cohorts tells that they bear the tag that tells the two sides of a split apart.
	Cohorts bool
	// Clients is the number of pods that they are of.
	Clients int
}

// MeshFacts says which mesh runs, and which version of it.
type MeshFacts struct {
	// Name is istio or linkerd.
	Name string
	// Version is the control plane's version, such as 1.24.3; empty where it could not be found.
	Version string
	// Revisions are the control planes' revisions, sorted; "default" is one of them.
	Revisions []string
	// RootNamespace is istio-system, or what the mesh configuration says.
	RootNamespace string
	// APIVersions maps a kind (VirtualService) to the apiVersion the cluster prefers.
	APIVersions map[string]string
}

// Pod is what a rollout must know of a pod.
type Pod struct {
	Namespace, Name, IP string
	Labels              map[string]string
	// Workload is the name of the owning Deployment, StatefulSet or DaemonSet, or of the pod itself.
	Workload string
	// Proxy tells whether a sidecar runs in it; Ready is the pod's condition.
	Proxy, Ready bool
	Started      time.Time
	// Terminating tells that it is being deleted.
	Terminating bool
}

// ID is namespace/name.
func (p Pod) ID() string { return p.Namespace + "/" + p.Name }

// ByKind lists the objects of a kind.
func (s *Snapshot) ByKind(kind string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range s.Objects {
		if o.GetKind() == kind {
			out = append(out, o)
		}
	}
	return out
}

// Object finds one object, or nil.
func (s *Snapshot) Object(kind, namespace, name string) *unstructured.Unstructured {
	for _, o := range s.Objects {
		if o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return o
		}
	}
	return nil
}
