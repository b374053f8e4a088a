package node

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status is what the pod's object shall say.
func (w *worker) status() corev1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := corev1.PodStatus{
		Phase: corev1.PodPending, HostIP: Address, HostIPs: []corev1.HostIP{{IP: Address}}, StartTime: &w.started,
		QOSClass: corev1.PodQOSBestEffort, Message: w.reason,
	}
	if w.address != 0 && w.network != nil {
		s.PodIP = ip(w.address)
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
	ready := w.initialized
	for _, c := range w.containers {
		cs := c.status()
		ready = ready && cs.Ready
		s.ContainerStatuses = append(s.ContainerStatuses, cs)
	}
	for _, c := range w.inits {
		s.InitContainerStatuses = append(s.InitContainerStatuses, c.status())
	}
	s.Phase = w.phase(s.ContainerStatuses)
	s.Conditions = []corev1.PodCondition{
		w.condition(corev1.PodScheduled, true),
		w.condition(corev1.PodInitialized, w.initialized),
		w.condition(corev1.ContainersReady, ready),
		w.condition(corev1.PodReady, ready),
	}
	return s
}

func (w *worker) phase(statuses []corev1.ContainerStatus) corev1.PodPhase {
	ended, failed, begun := 0, false, false
	for _, cs := range statuses {
		if t := cs.State.Terminated; t != nil {
			ended++
			failed = failed || t.ExitCode != 0
		}
		begun = begun || cs.State.Waiting == nil || cs.RestartCount > 0
	}
	switch {
	case ended == len(statuses) && failed:
		return corev1.PodFailed
	case ended == len(statuses):
		return corev1.PodSucceeded
	case begun:
		return corev1.PodRunning
	}
	return corev1.PodPending
}

// condition keeps the time of a condition's last change.
func (w *worker) condition(kind corev1.PodConditionType, is bool) corev1.PodCondition {
	value := corev1.ConditionFalse
	if is {
		value = corev1.ConditionTrue
	}
	c, ok := w.conditions[kind]
	if !ok || c.Status != value {
		c = corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: metav1.Now()}
		w.conditions[kind] = c
	}
	return c
}

func (w *worker) ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.initialized {
		return false
	}
	for _, c := range w.containers {
		if !c.snapshot().ready {
			return false
		}
	}
	return true
}

func (c *container) status() corev1.ContainerStatus {
	s := c.snapshot()
	running := s.pid != 0
	cs := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image, ContainerID: containerID(s.pid),
		Ready: s.ready, Started: &running, RestartCount: s.restarts,
	}
	if s.last != nil {
		cs.LastTerminationState.Terminated = s.last
	}
	switch {
	case running:
		cs.State.Running = &corev1.ContainerStateRunning{StartedAt: s.started}
	case s.ended != nil:
		cs.State.Terminated = s.ended
		cs.Ready = c.init && s.ended.ExitCode == 0
	default:
		cs.State.Waiting = &corev1.ContainerStateWaiting{Reason: s.waiting, Message: s.message}
	}
	return cs
}

// equalStatus compares what the API server would store.
func equalStatus(a, b corev1.PodStatus) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
