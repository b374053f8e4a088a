package validate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy"
)

// oldestIstio is the oldest minor version of Istio 1 whose CRDs meshpol's objects were checked against.
const oldestIstio = 20

func unread(f Facts) []Finding {
	var out []Finding
	for _, line := range f.Snapshot.Unread {
		out = append(out, Finding{Message: "not read: " + line + "; everything below was decided without it",
			Next: "give this identity the right to read it; docs/role.yaml is the role that is needed"})
	}
	return out
}

func noMesh(f Facts) []Finding {
	if f.Mesh != nil && f.Mesh.Detect(f.Snapshot) {
		return nil
	}
	message := "there is no mesh in the cluster " + f.Snapshot.Cluster
	if f.Mesh != nil {
		message = fmt.Sprintf("there is no %s in the cluster %s", f.Mesh.Name(), f.Snapshot.Cluster)
	}
	return []Finding{{Message: message, Next: "check the kubeconfig context; files alone are checked with --offline"}}
}

func unknownVersion(f Facts) []Finding {
	found := f.Mesh != nil && f.Mesh.Detect(f.Snapshot)
	return when(found && f.Snapshot.Mesh.Version == "", Finding{Message: "the version of the mesh could not be found: fields that need a version are not checked",
		Next: "look whether the control plane runs, and let this identity read its pods"})
}

func oldVersion(f Facts) []Finding {
	if f.Snapshot.Mesh.Name != "istio" {
		return nil
	}
	minor, ok := minorOf(f.Snapshot.Mesh.Version)
	return when(ok && minor < oldestIstio, Finding{Message: fmt.Sprintf("Istio %s is older than 1.%d, the oldest version that meshpol was checked against", f.Snapshot.Mesh.Version, oldestIstio),
		Next: "upgrade Istio, or try it in staging first"})
}

// minorOf is the minor version of a 1.x version.
func minorOf(version string) (int, bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 || parts[0] != "1" {
		return 0, false
	}
	n, err := strconv.Atoi(strings.SplitN(parts[1], "-", 2)[0])
	return n, err == nil
}

// noResources finds a cluster whose API server does not know the kinds that the policies are written as.
func noResources(f Facts) []Finding {
	s := f.Snapshot
	if s.Mesh.Name != "istio" || len(s.Mesh.APIVersions) == 0 {
		return nil
	}
	needed := map[string]policy.Policy{}
	for _, p := range f.Set.Policies {
		kind := "VirtualService"
		if actsOnServers(p) {
			continue
		}
		needed[kind] = p
		if p.Kind == "CircuitBreaker" {
			needed["DestinationRule"] = p
		}
	}
	var out []Finding
	for _, kind := range []string{"DestinationRule", "VirtualService"} {
		if p, ok := needed[kind]; ok && s.Mesh.APIVersions[kind] == "" {
			out = append(out, Finding{Message: fmt.Sprintf("the cluster has no %s resources, which %s needs", kind, p.Key), Next: "install Istio's CRDs"})
		}
	}
	return out
}
