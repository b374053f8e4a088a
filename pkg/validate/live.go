package validate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// eachLive asks one question of every policy with the cluster at hand.
func eachLive(question func(*cluster, policy.Policy) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		var out []Finding
		for _, p := range f.Set.Policies {
			out = append(out, question(f.cluster, p)...)
		}
		return out
	}
}

// actsOnServers tells whether a policy acts in the proxies of its target.
func actsOnServers(p policy.Policy) bool {
	if m, ok := p.Object.(*v1alpha1.MutualTLS); ok {
		return m.Spec.Client == nil
	}
	k, _ := policy.KindByName(p.Kind)
	return k.Side == policy.ServerSide
}

// targetField is the path of the target that is set.
func targetField(p policy.Policy) string {
	if p.Object.PolicyTarget().Workload != nil {
		return "spec.target.workload"
	}
	return "spec.target.service"
}

func noService(c *cluster, p policy.Policy) []Finding {
	name := p.Object.PolicyTarget().Service
	return when(name != "" && c.service(p) == nil, about(p, "spec.target.service",
		fmt.Sprintf("there is no Service %s/%s in the cluster", p.Namespace, name), "check the name and the namespace, or deploy the Service first"))
}

func noServerProxy(c *cluster, p policy.Policy) []Finding {
	pods := c.servers[p.Target()]
	return when(actsOnServers(p) && len(pods) > 0 && withProxy(pods) == 0, about(p, targetField(p),
		fmt.Sprintf("none of the %d pods of %s has a proxy: nothing would enforce the policy", len(pods), p.Target()), "bring the pods into the mesh first"))
}

func someServersWithoutProxy(c *cluster, p policy.Policy) []Finding {
	pods := c.servers[p.Target()]
	n := withProxy(pods)
	return when(actsOnServers(p) && n > 0 && n < len(pods), about(p, targetField(p),
		fmt.Sprintf("%d of the %d pods of %s have no proxy: the policy does not hold there", len(pods)-n, len(pods), p.Target()), "bring them into the mesh, or know that they stay open"))
}

func noClientProxy(c *cluster, p policy.Policy) []Finding {
	atGateway := p.Object.PolicyTarget().Gateway != "" // acts in the gateway's own pods, which have no sidecar
	return when(!actsOnServers(p) && !atGateway && len(c.Pods) > 0 && c.proxies == 0, about(p, "spec.target",
		"no pod that could be read has a proxy: the policy acts in its callers' proxies, and there is none", "bring the callers into the mesh first"))
}

func noWorkload(c *cluster, p policy.Policy) []Finding {
	w := p.Object.PolicyTarget().Workload
	return when(w != nil && len(c.servers[p.Target()]) == 0, about(p, "spec.target.workload.labels",
		fmt.Sprintf("no pod in %s has these labels", p.Namespace), "check the labels (kubectl get pods --show-labels)"))
}

func noPort(c *cluster, p policy.Policy) []Finding {
	port, svc := p.Object.PolicyTarget().Port, c.service(p)
	if port == nil || svc == nil {
		return nil
	}
	ports, _, _ := unstructured.NestedSlice(svc.Object, "spec", "ports")
	var have []string
	for _, one := range ports {
		m, _ := one.(map[string]any)
		have = append(have, fmt.Sprint(m["port"]))
	}
	return when(!slices.Contains(have, fmt.Sprint(*port)), about(p, "spec.target.port",
		fmt.Sprintf("the Service %s/%s has no port %d", p.Namespace, svc.GetName(), *port), "its ports: "+strings.Join(have, ", ")))
}

// backends asks one question of every backend of a TrafficShift.
func backends(question func(*cluster, policy.Policy, v1alpha1.Backend, string) []Finding) func(Facts) []Finding {
	return eachLive(func(c *cluster, p policy.Policy) []Finding {
		t, ok := p.Object.(*v1alpha1.TrafficShift)
		if !ok {
			return nil
		}
		var out []Finding
		for i, b := range t.Spec.Backends {
			out = append(out, question(c, p, b, fmt.Sprintf("spec.backends[%d]", i))...)
		}
		return out
	})
}

func noBackendService(c *cluster, p policy.Policy, b v1alpha1.Backend, field string) []Finding {
	return when(b.Service != "" && c.Object("Service", p.Namespace, b.Service) == nil, about(p, field+".service",
		fmt.Sprintf("there is no Service %s/%s in the cluster", p.Namespace, b.Service), "deploy it before requests are sent to it"))
}

func noBackendPods(c *cluster, p policy.Policy, b v1alpha1.Backend, field string) []Finding {
	none := len(b.Labels) > 0 && b.Weight > 0 && len(c.podsWith(p.Namespace, b.Labels)) == 0
	return when(none, about(p, field+".labels", fmt.Sprintf("no pod in %s has these labels: %d parts of the requests would find nobody", p.Namespace, b.Weight),
		"deploy the pods before requests are sent to them"))
}

func noServiceEntry(c *cluster, p policy.Policy) []Finding {
	t := p.Object.PolicyTarget()
	if t.Host == "" || t.Gateway != "" {
		return nil
	}
	known := slices.ContainsFunc(c.ByKind("ServiceEntry"), func(o *unstructured.Unstructured) bool {
		hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
		return slices.ContainsFunc(hosts, func(h string) bool { return hostCovers(h, t.Host) })
	})
	return when(!known, about(p, "spec.target.host", "no ServiceEntry has the host "+t.Host, "create the ServiceEntry first: without one the mesh does not know the host"))
}

// hostCovers tells whether a host, perhaps with a wildcard, is or contains another one.
func hostCovers(host, other string) bool {
	if rest, ok := strings.CutPrefix(host, "*"); ok {
		return strings.HasSuffix(other, rest)
	}
	return host == other
}

func noGateway(c *cluster, p policy.Policy) []Finding {
	t := p.Object.PolicyTarget()
	if t.Gateway == "" {
		return nil
	}
	namespace, name, ok := strings.Cut(t.Gateway, "/")
	if !ok {
		namespace, name = p.Namespace, t.Gateway
	}
	return when(c.Object("Gateway", namespace, name) == nil, about(p, "spec.target.gateway",
		fmt.Sprintf("there is no Gateway %s/%s in the cluster", namespace, name), "write it as namespace/name where it is in another namespace"))
}

// bearsMarks finds objects for the policy's target that a live rollout has in hand. It is a warning: the run itself
// stops at the mark, with the exit code that says so.
func bearsMarks(c *cluster, p policy.Policy) []Finding {
	var out []Finding
	for _, o := range c.marked {
		if concerns(o, p) {
			mark := o.GetAnnotations()[rolloutMark]
			out = append(out, about(p, "spec.target", fmt.Sprintf("%s %s/%s is in the hands of the rollout %s", o.GetKind(), o.GetNamespace(), o.GetName(), mark),
				"wait for it, or look at it with meshpol status; where that does not know it, its Lease is gone, and kubectl get controllerrevisions has the objects as they were"))
		}
	}
	return out
}

// concerns tells whether an object names the policy's host.
func concerns(o *unstructured.Unstructured, p policy.Policy) bool {
	t := p.Object.PolicyTarget()
	name := t.Service
	if name == "" {
		name = t.Host
	}
	if name == "" {
		return o.GetNamespace() == p.Namespace && actsOnServers(p)
	}
	hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
	if host, ok, _ := unstructured.NestedString(o.Object, "spec", "host"); ok {
		hosts = append(hosts, host)
	}
	return slices.ContainsFunc(hosts, func(h string) bool {
		local := h == name && (t.Service == "" || o.GetNamespace() == p.Namespace)
		return local || (t.Service != "" && (h == name+"."+p.Namespace || strings.HasPrefix(h, name+"."+p.Namespace+".")))
	})
}
