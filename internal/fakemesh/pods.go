package fakemesh

import (
	"maps"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
)

func labelled(p policy.Pod, key, value string) policy.Pod {
	labels := maps.Clone(p.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	if value == "" {
		delete(labels, key)
	}
	p.Labels = labels
	return p
}

// Pod is a ready client pod with a proxy.
func Pod(namespace, workload, name string) policy.Pod {
	return policy.Pod{Namespace: namespace, Name: name, Workload: workload, Proxy: true, Ready: true, Labels: map[string]string{"app": workload}}
}

func (w *World) podList(namespace string) []policy.Pod {
	var out []policy.Pod
	for _, id := range slices.Sorted(maps.Keys(w.pods)) {
		if p := w.pods[id]; namespace == "" || p.Namespace == namespace {
			p.Labels = maps.Clone(p.Labels)
			out = append(out, p)
		}
	}
	return out
}

// SetPod adds a pod or changes one.
func (w *World) SetPod(p policy.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(p)
}

// labelMoment is what a pod's labels are since a time.
type labelMoment struct {
	at     time.Time
	labels map[string]string
}

func (w *World) put(p policy.Pod) {
	w.count(time.Now())
	w.pods[p.ID()] = p
	w.labels[p.ID()] = append(w.labels[p.ID()], labelMoment{at: time.Now(), labels: p.Labels})
}

// RemovePod takes a pod away.
func (w *World) RemovePod(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(time.Now())
	delete(w.pods, id)
	delete(w.frozen, id)
	delete(w.labels, id)
}

// PodsWith lists the pods that bear a label key, with its value: "shop/a=1".
func (w *World) PodsWith(key string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, p := range w.podList("") {
		if v, ok := p.Labels[key]; ok {
			out = append(out, p.ID()+"="+v)
		}
	}
	return out
}

// Freeze makes a pod's proxy keep the configuration it has now; Thaw lets it go on.
func (w *World) Freeze(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(time.Now())
	w.frozen[id] = time.Now()
}

// Thaw ends Freeze.
func (w *World) Thaw(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(time.Now())
	delete(w.frozen, id)
}
