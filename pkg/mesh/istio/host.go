package istio

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
)

// clusterDomain is the DNS domain of the cluster. Istio's own resolution of short names has the same default.
const clusterDomain = "cluster.local"

// meshGateway is Istio's word for all sidecars.
const meshGateway = "mesh"

// host is the Service that a change acts on.
type host struct{ name, namespace string }

func (h host) fqdn() string { return h.name + "." + h.namespace + ".svc." + clusterDomain }

// is tells whether a host text in an object of a namespace means the service. Istio resolves names without a dot in
// the object's namespace; the other forms are what people write.
func (h host) is(s, namespace string) bool {
	switch strings.ToLower(strings.TrimSuffix(s, ".")) {
	case h.fqdn(), h.name + "." + h.namespace, h.name + "." + h.namespace + ".svc":
		return true
	case h.name:
		return namespace == h.namespace
	}
	return false
}

// under tells whether a wildcard host covers the service.
func (h host) under(s string) bool {
	suffix, ok := strings.CutPrefix(strings.ToLower(s), "*")
	return ok && strings.HasSuffix(h.fqdn(), suffix)
}

// servicePort is a port of the Service with what Istio makes of its name.
type servicePort struct {
	number int64
	http   bool
	grpc   bool
}

// portsOf reads the ports of a Service. A port without a protocol prefix is sniffed, which carries HTTP too.
func portsOf(service *unstructured.Unstructured) []servicePort {
	var out []servicePort
	for _, p := range trees(field(spec(service), "ports")) {
		proto, _, _ := strings.Cut(text(p["name"]), "-")
		if app := text(p["appProtocol"]); app != "" {
			proto = strings.TrimPrefix(app, "kubernetes.io/")
		}
		proto = strings.ToLower(proto)
		opaque := text(p["protocol"]) == "UDP" ||
			slices.Contains([]string{"tcp", "tls", "https", "mongo", "mysql", "redis", "udp"}, proto)
		out = append(out, servicePort{number: integer(p["port"]), http: !opaque, grpc: strings.HasPrefix(proto, "grpc")})
	}
	return out
}

// visible tells who may see an object: everybody, or the listed namespaces.
type visible struct {
	all        bool
	namespaces []string
}

func visibility(o *unstructured.Unstructured) visible {
	to := texts(field(spec(o), "exportTo"))
	if len(to) == 0 || slices.Contains(to, "*") {
		return visible{all: true}
	}
	var v visible
	for _, ns := range to {
		if ns == "." {
			ns = o.GetNamespace()
		}
		v.namespaces = append(v.namespaces, ns)
	}
	slices.Sort(v.namespaces)
	return v
}

// covers tells whether everybody who sees w sees v too.
func (v visible) covers(w visible) bool {
	if v.all || w.all {
		return v.all
	}
	for _, ns := range w.namespaces {
		if !slices.Contains(v.namespaces, ns) {
			return false
		}
	}
	return true
}

// meets tells whether somebody sees both with the same precedence: Istio prefers what is private to a client's
// namespace, then what is exported to it, then what is public.
func (v visible) meets(w visible) bool {
	if v.all != w.all {
		return false
	}
	return v.all || slices.ContainsFunc(v.namespaces, func(ns string) bool { return slices.Contains(w.namespaces, ns) })
}

// bindings are the gateways that a VirtualService is bound to.
type bindings struct{ mesh, gateways bool }

func bound(gateways []string) bindings {
	if len(gateways) == 0 {
		return bindings{mesh: true}
	}
	var b bindings
	for _, g := range gateways {
		if g == meshGateway {
			b.mesh = true
		} else {
			b.gateways = true
		}
	}
	return b
}

func (b bindings) or(c bindings) bindings {
	return bindings{mesh: b.mesh || c.mesh, gateways: b.gateways || c.gateways}
}

// foreignController names the progressive-delivery tool that owns an object, or is empty.
func foreignController(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	for _, r := range o.GetOwnerReferences() {
		switch group, _, _ := strings.Cut(r.APIVersion, "/"); {
		case group == "flagger.app":
			return "Flagger (Canary " + r.Name + ")"
		case group == "argoproj.io" && r.Kind == "Rollout":
			return "Argo Rollouts (Rollout " + r.Name + ")"
		}
	}
	for _, marks := range []map[string]string{o.GetLabels(), o.GetAnnotations()} {
		for k := range marks {
			switch group, _, _ := strings.Cut(k, "/"); group {
			case "flagger.app":
				return "Flagger"
			case "argo-rollouts.argoproj.io":
				return "Argo Rollouts"
			}
		}
	}
	for _, m := range o.GetManagedFields() {
		switch m.Manager {
		case "flagger":
			return "Flagger"
		case "rollouts-controller":
			return "Argo Rollouts"
		}
	}
	return ""
}

// apiVersion is the version in which a new object of a kind is written.
func apiVersion(s *policy.Snapshot, kind string) string {
	if v := s.Mesh.APIVersions[kind]; v != "" {
		return v
	}
	if atLeast(s.Mesh.Version, 22) && s.Mesh.Version != "" {
		return "networking.istio.io/v1"
	}
	return "networking.istio.io/v1beta1"
}
