package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/netns"
	"github.com/meshpol/meshpol/lab/internal/process"
)

// retryAfter is how long a worker waits before it tries again what the API server refused.
const retryAfter = 500 * time.Millisecond

// worker runs one pod.
//
//	new ──run──> sandbox ──> init containers ──> containers ──deleted or finished──> stopped ──> removed
type worker struct {
	agent *Agent
	// wake tells the worker that something about the pod has changed.
	wake chan struct{}
	// gone is closed when the pod's object no longer exists.
	gone chan struct{}

	mu         sync.Mutex
	pod        *corev1.Pod
	address    int
	network    *netns.Namespace
	counting   *counting
	started    metav1.Time
	containers []*container
	inits      []*container
	initialized,
	vanished bool
	reason     string
	conditions map[corev1.PodConditionType]corev1.PodCondition
}

func newWorker(a *Agent, pod *corev1.Pod) *worker {
	w := &worker{
		agent: a, pod: pod, started: metav1.Now(),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		conditions: map[corev1.PodConditionType]corev1.PodCondition{},
	}
	for _, c := range pod.Spec.InitContainers {
		w.inits = append(w.inits, newContainer(w, c, true))
	}
	for _, c := range pod.Spec.Containers {
		w.containers = append(w.containers, newContainer(w, c, false))
	}
	return w
}

func (w *worker) current() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod
}

func (w *worker) update(pod *corev1.Pod) {
	w.mu.Lock()
	w.pod = pod
	w.mu.Unlock()
	w.notify()
}

func (w *worker) vanish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.vanished {
		w.vanished = true
		close(w.gone)
	}
}

func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run brings the pod up, follows it, and takes it down.
func (w *worker) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var starting sync.WaitGroup
	starting.Go(func() { w.start(ctx) })
	w.follow(ctx)
	cancelled := ctx.Err() != nil
	cancel()
	starting.Wait()
	w.stop(w.grace(cancelled))
	w.release()
	if !cancelled {
		w.bury(context.WithoutCancel(ctx))
	}
}

// start makes the sandbox and starts the containers, until it succeeds or the pod is to end.
func (w *worker) start(ctx context.Context) {
	for {
		err := w.sandbox(ctx)
		if err == nil {
			break
		}
		w.agent.Log.Error("making a pod's sandbox", "pod", podName(w.pod), "error", err)
		w.setReason(err.Error())
		if !sleep(ctx, retryAfter) {
			return
		}
	}
	w.setReason("")
	for _, c := range w.inits {
		c.start(ctx)
		if !c.waitInit(ctx) {
			return
		}
	}
	w.mu.Lock()
	w.initialized = true
	w.mu.Unlock()
	for _, c := range w.containers {
		c.start(ctx)
	}
	w.notify()
}

// follow reports the pod's status until the pod is to end or has finished by itself.
func (w *worker) follow(ctx context.Context) {
	var last corev1.PodStatus
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		pod, status := w.current(), w.status()
		if pod.DeletionTimestamp != nil || ctx.Err() != nil {
			return
		}
		if !equalStatus(last, status) {
			if w.publish(ctx, pod, status) {
				last = status
			} else {
				retry.Reset(retryAfter)
			}
		}
		select {
		case <-w.wake:
		case <-retry.C:
		case <-w.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (w *worker) publish(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) bool {
	err := w.agent.Client.PatchPodStatus(ctx, pod, status)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return true
	}
	w.agent.Log.Debug("reporting a pod's status", "pod", podName(pod), "error", err)
	return false
}

// grace is how long the containers may take to end.
func (w *worker) grace(now bool) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now || w.vanished {
		return 0
	}
	if s := w.pod.DeletionGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 0
}

func (w *worker) stop(grace time.Duration) {
	var all sync.WaitGroup
	for _, c := range append(append([]*container{}, w.containers...), w.inits...) {
		all.Go(func() { c.stop(grace) })
	}
	all.Wait()
}

// bury deletes the object of a stopped pod, however long the API server takes.
func (w *worker) bury(ctx context.Context) {
	pod := w.current()
	for {
		err := w.agent.Client.RemovePod(ctx, pod)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		select {
		case <-w.gone:
			return
		case <-time.After(retryAfter):
		}
	}
}

func (w *worker) setReason(reason string) {
	w.mu.Lock()
	w.reason = reason
	w.mu.Unlock()
	w.notify()
}

func (w *worker) ip() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.address == 0 {
		return ""
	}
	return ip(w.address)
}

func (w *worker) dial(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	network := w.network
	w.mu.Unlock()
	if network == nil {
		return nil, fmt.Errorf("pod %s has no network yet", podName(w.current()))
	}
	return network.Dial(ctx, addr)
}

func (w *worker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agent.hosts.remove(w.hostsPath())
	if w.counting != nil {
		w.counting.Close()
		w.counting = nil
	}
	if w.network != nil {
		w.network.Close()
		w.network = nil
	}
	if w.address != 0 {
		w.agent.addresses.release(w.address)
		w.address = 0
	}
	if err := os.RemoveAll(w.agent.podDir(w.pod)); err != nil {
		w.agent.Log.Warn("removing a pod's files", "pod", podName(w.pod), "error", err)
	}
}

// report describes the pod for `lab status`.
func (w *worker) report() conn.PodStatus {
	status := w.status()
	pod := w.current()
	out := conn.PodStatus{
		Namespace: pod.Namespace, Name: pod.Name, IP: status.PodIP, Phase: string(status.Phase), Ready: w.ready(),
	}
	w.mu.Lock()
	if w.counting != nil {
		out.Requests = w.counting.proxy.Counted()
	}
	w.mu.Unlock()
	for _, c := range w.containers {
		s := c.snapshot()
		out.Restarts += int(s.restarts)
		cs := conn.ContainerStatus{Name: c.spec.Name, PID: s.pid, Ready: s.ready}
		if s.pid != 0 {
			cs.RSS = process.RSS(s.pid)
		}
		out.Containers = append(out.Containers, cs)
	}
	return out
}

// sleep waits and says whether the context is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
