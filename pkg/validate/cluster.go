package validate

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
)

// rolloutMark is the annotation that every object touched by a live rollout bears.
const rolloutMark = "meshpol.io/rollout"

// cluster is a snapshot with its answers at hand: a thousand policies ask the same few questions.
type cluster struct {
	*policy.Snapshot
	objects map[string]*unstructured.Unstructured
	// marked are the objects that a live rollout has in hand.
	marked []*unstructured.Unstructured
	// pods are by namespace, those that are going away left out.
	pods map[string][]policy.Pod
	// servers are the pods behind a target.
	servers map[policy.Target][]policy.Pod
	proxies int
}

func newCluster(s *policy.Snapshot, changes []policy.Change) *cluster {
	if s == nil {
		return nil
	}
	c := &cluster{Snapshot: s, objects: map[string]*unstructured.Unstructured{}, pods: map[string][]policy.Pod{},
		servers: map[policy.Target][]policy.Pod{}, proxies: withProxy(s.Pods)}
	for _, o := range s.Objects {
		c.objects[o.GetKind()+"/"+o.GetNamespace()+"/"+o.GetName()] = o
		if o.GetAnnotations()[rolloutMark] != "" {
			c.marked = append(c.marked, o)
		}
	}
	for _, pod := range s.Pods {
		if !pod.Terminating {
			c.pods[pod.Namespace] = append(c.pods[pod.Namespace], pod)
		}
	}
	for _, change := range changes {
		p := change.Policies[0]
		c.servers[change.Target] = c.podsWith(p.Namespace, c.selector(p))
	}
	return c
}

// Object finds one object, or nil.
func (c *cluster) Object(kind, namespace, name string) *unstructured.Unstructured {
	return c.objects[kind+"/"+namespace+"/"+name]
}

// selector is the labels of the pods behind a policy's service or workload.
func (c *cluster) selector(p policy.Policy) map[string]string {
	if w := p.Object.PolicyTarget().Workload; w != nil {
		return w.Labels
	}
	svc := c.service(p)
	if svc == nil {
		return nil
	}
	labels, _, _ := unstructured.NestedStringMap(svc.Object, "spec", "selector")
	return labels
}

// service is the policy's Service; nil where it has another target or the Service is not there.
func (c *cluster) service(p policy.Policy) *unstructured.Unstructured {
	name := p.Object.PolicyTarget().Service
	if name == "" {
		return nil
	}
	return c.Object("Service", p.Namespace, name)
}

// podsWith lists the pods of a namespace with some labels; none where no label is asked for.
func (c *cluster) podsWith(namespace string, labels map[string]string) []policy.Pod {
	var out []policy.Pod
	for _, pod := range c.pods[namespace] {
		if len(labels) > 0 && hasLabels(pod, labels) {
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

func withProxy(pods []policy.Pod) int {
	n := 0
	for _, pod := range pods {
		if pod.Proxy {
			n++
		}
	}
	return n
}
