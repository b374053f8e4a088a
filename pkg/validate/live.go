package validate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// rolloutMark is the annotation that every object touched by a live rollout bears.
const rolloutMark = "meshpol.io/rollout"

// eachLive asks one question of every policy with the cluster at hand.
func eachLive(question func(*policy.Snapshot, policy.Policy) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		var out []Finding
		for _, p := range f.Set.Policies {
			out = append(out, question(f.Snapshot, p)...)
		}
		return out
	}
}

// service is the policy's Service; nil where it has another target or the Service is not there.
func service(s *policy.Snapshot, p policy.Policy) *unstructured.Unstructured {
	name := p.Object.PolicyTarget().Service
	if name == "" {
		return nil
	}
	return s.Object("Service", p.Namespace, name)
}

func noService(s *policy.Snapshot, p policy.Policy) []Finding {
	name := p.Object.PolicyTarget().Service
	return when(name != "" && service(s, p) == nil, about(p, "spec.target.service",
		fmt.Sprintf("there is no Service %s/%s in the cluster", p.Namespace, name), "check the name and the namespace, or deploy the Service first"))
}

// servers are the pods behind a policy's service or workload, those that are going away left out.
func servers(s *policy.Snapshot, p policy.Policy) []policy.Pod {
	t := p.Object.PolicyTarget()
	if t.Workload != nil {
		return podsWith(s, p.Namespace, t.Workload.Labels)
	}
	svc := service(s, p)
	if svc == nil {
		return nil
	}
	selector, _, err := unstructured.NestedStringMap(svc.Object, "spec", "selector")
	if err != nil || len(selector) == 0 {
		return nil
	}
	return podsWith(s, p.Namespace, selector)
}

func podsWith(s *policy.Snapshot, namespace string, labels map[string]string) []policy.Pod {
	var out []policy.Pod
	for _, pod := range s.Pods {
		if pod.Namespace == namespace && !pod.Terminating && hasLabels(pod, labels) {
			out = append(out, pod)
		}
	}
	return out
}

func hasLabels(pod policy.Pod, labels map[string]string) bool {
	for k, v := range labels {
		if pod.Labels[k] != v {
			return false
		}
	}
	return true
}

// actsOnServers tells whether a policy acts in the proxies of its target.
func actsOnServers(p policy.Policy) bool {
	if m, ok := p.Object.(*v1alpha1.MutualTLS); ok {
		return m.Spec.Client == nil
	}
	k, _ := policy.KindByName(p.Kind)
	return k.Side == policy.ServerSide
}

func withProxy(pods []policy.Pod) int {
	n := 0
	for _, pod := range pods {
		if pod.Proxy {
			n++
		}
	}
	return n
}

// targetField is the path of the target that is set.
func targetField(p policy.Policy) string {
	if p.Object.PolicyTarget().Workload != nil {
		return "spec.target.workload"
	}
	return "spec.target.service"
}

func noServerProxy(s *policy.Snapshot, p policy.Policy) []Finding {
	pods := servers(s, p)
	return when(actsOnServers(p) && len(pods) > 0 && withProxy(pods) == 0, about(p, targetField(p),
		fmt.Sprintf("none of the %d pods of %s has a proxy: nothing would enforce the policy", len(pods), p.Target()), "bring the pods into the mesh first"))
}

func someServersWithoutProxy(s *policy.Snapshot, p policy.Policy) []Finding {
	pods := servers(s, p)
	n := withProxy(pods)
	return when(actsOnServers(p) && n > 0 && n < len(pods), about(p, targetField(p),
		fmt.Sprintf("%d of the %d pods of %s have no proxy: the policy does not hold there", len(pods)-n, len(pods), p.Target()), "bring them into the mesh, or know that they stay open"))
}

func noClientProxy(s *policy.Snapshot, p policy.Policy) []Finding {
	atGateway := p.Object.PolicyTarget().Gateway != "" // acts in the gateway's own pods, which have no sidecar
	return when(!actsOnServers(p) && !atGateway && len(s.Pods) > 0 && withProxy(s.Pods) == 0, about(p, "spec.target",
		"no pod that could be read has a proxy: the policy acts in its callers' proxies, and there is none", "bring the callers into the mesh first"))
}

func noWorkload(s *policy.Snapshot, p policy.Policy) []Finding {
	w := p.Object.PolicyTarget().Workload
	return when(w != nil && len(servers(s, p)) == 0, about(p, "spec.target.workload.labels",
		fmt.Sprintf("no pod in %s has these labels", p.Namespace), "check the labels (kubectl get pods --show-labels)"))
}

func noPort(s *policy.Snapshot, p policy.Policy) []Finding {
	port, svc := p.Object.PolicyTarget().Port, service(s, p)
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
func backends(question func(*policy.Snapshot, policy.Policy, v1alpha1.Backend, string) []Finding) func(Facts) []Finding {
	return eachLive(func(s *policy.Snapshot, p policy.Policy) []Finding {
		t, ok := p.Object.(*v1alpha1.TrafficShift)
		if !ok {
			return nil
		}
		var out []Finding
		for i, b := range t.Spec.Backends {
			out = append(out, question(s, p, b, fmt.Sprintf("spec.backends[%d]", i))...)
		}
		return out
	})
}

func noBackendService(s *policy.Snapshot, p policy.Policy, b v1alpha1.Backend, field string) []Finding {
	return when(b.Service != "" && s.Object("Service", p.Namespace, b.Service) == nil, about(p, field+".service",
		fmt.Sprintf("there is no Service %s/%s in the cluster", p.Namespace, b.Service), "deploy it before requests are sent to it"))
}

func noBackendPods(s *policy.Snapshot, p policy.Policy, b v1alpha1.Backend, field string) []Finding {
	none := len(b.Labels) > 0 && b.Weight > 0 && len(podsWith(s, p.Namespace, b.Labels)) == 0
	return when(none, about(p, field+".labels", fmt.Sprintf("no pod in %s has these labels: %d parts of the requests would find nobody", p.Namespace, b.Weight),
		"deploy the pods before requests are sent to them"))
}

func noServiceEntry(s *policy.Snapshot, p policy.Policy) []Finding {
	t := p.Object.PolicyTarget()
	if t.Host == "" || t.Gateway != "" {
		return nil
	}
	known := slices.ContainsFunc(s.ByKind("ServiceEntry"), func(o *unstructured.Unstructured) bool {
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

func noGateway(s *policy.Snapshot, p policy.Policy) []Finding {
	t := p.Object.PolicyTarget()
	if t.Gateway == "" {
		return nil
	}
	namespace, name, ok := strings.Cut(t.Gateway, "/")
	if !ok {
		namespace, name = p.Namespace, t.Gateway
	}
	return when(s.Object("Gateway", namespace, name) == nil, about(p, "spec.target.gateway",
		fmt.Sprintf("there is no Gateway %s/%s in the cluster", namespace, name), "write it as namespace/name where it is in another namespace"))
}

// bearsMarks finds objects for the policy's target that a live rollout has in hand. It is a warning: the run itself
// stops at the mark, with the exit code that says so.
func bearsMarks(s *policy.Snapshot, p policy.Policy) []Finding {
	var out []Finding
	for _, o := range s.Objects {
		mark := o.GetAnnotations()[rolloutMark]
		if mark != "" && concerns(o, p) {
			out = append(out, about(p, "spec.target", fmt.Sprintf("%s %s/%s is in the hands of the rollout %s", o.GetKind(), o.GetNamespace(), o.GetName(), mark),
				"wait for it, or look at it with meshpol status"))
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
