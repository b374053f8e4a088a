package node

import (
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshpol/meshpol/lab/internal/istiostats"
)

// clusterName is what the proxies tell istiod of the cluster they run in.
const clusterName = "Kubernetes"

// serviceDomain ends the full name of every service.
const serviceDomain = ".svc.cluster.local"

// directory knows the workload behind every pod's address, and the services. The last owner of an address stays in it:
// the proxies' logs come up to a second after the requests, when a pod may have gone.
type directory struct {
	mu       sync.RWMutex
	pods     map[string]*corev1.Pod
	services []*corev1.Service
}

var _ istiostats.Directory = (*directory)(nil)

func newDirectory() *directory { return &directory{pods: map[string]*corev1.Pod{}} }

// add notes whom an address belongs to. A pod's labels count as they are now: a proxy reads its own once.
func (d *directory) add(address string, pod *corev1.Pod) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pods[address] = pod
}

func (d *directory) setServices(list []*corev1.Service) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.services = list
}

// Workload implements istiostats.Directory.
func (d *directory) Workload(address string) (istiostats.Workload, bool) {
	d.mu.RLock()
	pod := d.pods[address]
	d.mu.RUnlock()
	if pod == nil {
		return istiostats.Workload{}, false
	}
	return workload(pod), true
}

func workload(pod *corev1.Pod) istiostats.Workload {
	w := istiostats.NewWorkload(workloadName(pod), pod.Namespace, pod.Labels)
	w.Cluster = clusterName
	w.Principal = "spiffe://cluster.local/ns/" + pod.Namespace + "/sa/" + account(pod)
	return w
}

// Service implements istiostats.Directory.
func (d *directory) Service(address, port string) (string, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	pod := d.pods[address]
	if pod == nil {
		return "", false
	}
	for _, s := range d.services {
		if s.Namespace == pod.Namespace && len(s.Spec.Selector) > 0 &&
			labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) && targets(s, port) {
			return s.Name + "." + s.Namespace + serviceDomain, true
		}
	}
	return "", false
}

// Host implements istiostats.Directory.
func (d *directory) Host(namespace, host string) (string, bool) {
	host, _, _ = strings.Cut(host, ":")
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.services {
		full := s.Name + "." + s.Namespace + serviceDomain
		if host == full || host == s.Name+"."+s.Namespace+".svc" || host == s.Name+"."+s.Namespace ||
			(host == s.Name && s.Namespace == namespace) {
			return full, true
		}
	}
	return "", false
}

// targets says whether a service hands requests to a port of its pods. Named target ports are not looked up.
func targets(s *corev1.Service, port string) bool {
	for _, p := range s.Spec.Ports {
		target := p.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(p.Port)
		}
		if strconv.Itoa(target.IntValue()) == port {
			return true
		}
	}
	return false
}
