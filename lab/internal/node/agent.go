// Package node is the lab's node agent: it makes pods real. Each pod gets a network namespace on the lab's
// bridge, each of its containers a process; it reports status, probes readiness, restarts what crashes, and
// serves the part of the kubelet's API that port-forward, exec and logs need.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/kube"
	"github.com/meshpol/meshpol/lab/internal/netns"
	"github.com/meshpol/meshpol/lab/internal/process"
	"github.com/meshpol/meshpol/lab/internal/state"
)

// Addresses of the lab's network. Every lab has a network of its own, so they are the same in all labs.
const (
	// Name is the node's name.
	Name = "lab-node"
	// Address is the control plane's and the node's.
	Address = "10.244.0.1"
	// APIAddress is the ClusterIP of the Service "kubernetes".
	APIAddress = "10.96.0.1"
	// KubeletPort is where the agent serves the kubelet's API.
	KubeletPort = 10250
	// APIPort is the API server's own port.
	APIPort = 6443
	// Bridge connects the pods.
	Bridge = "lab0"
)

// Config is what an Agent needs.
type Config struct {
	Lab     state.Lab
	Network *netns.Namespace
	Client  *kube.Client
	Spawner *process.Spawner
	Log     *slog.Logger
	// CA is the authority of the API server, for pods.
	CA []byte
	// Executable is the lab's own binary, which becomes each container.
	Executable string
}

// Agent runs the pods of one lab.
type Agent struct {
	Config
	addresses addresses
	hosts     *hostsWriter
	balancer  *balancer
	directory *directory

	mu      sync.Mutex
	workers map[types.UID]*worker
	running sync.WaitGroup
}

// New returns an Agent.
func New(c Config) *Agent {
	a := &Agent{Config: c, workers: map[types.UID]*worker{}, directory: newDirectory()}
	a.hosts = &hostsWriter{files: map[string]hostsFile{}}
	a.balancer = newBalancer(a)
	return a
}

// Run works until ctx ends, then kills every container and returns when all are gone.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.hosts.add(a.Lab.Path("hosts"), hostsFile{}); err != nil { // the control plane's
		return err
	}
	if err := a.serveKubelet(ctx); err != nil {
		return err
	}
	pods := a.Client.Informer("pods", &corev1.Pod{})
	services := a.Client.Informer("services", &corev1.Service{})
	if err := a.handle(ctx, pods, services); err != nil {
		return err
	}
	a.running.Go(func() { a.balancer.run(ctx) })
	a.running.Go(func() { pods.RunWithContext(ctx) })
	a.running.Go(func() { services.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), pods.HasSynced, services.HasSynced) {
		return fmt.Errorf("reading pods and services: %w", ctx.Err())
	}
	<-ctx.Done()
	a.running.Wait()
	return nil
}

func (a *Agent) handle(ctx context.Context, pods, services cache.SharedIndexInformer) error {
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.podChanged(ctx, o) },
		UpdateFunc: func(_, o any) { a.podChanged(ctx, o) },
		DeleteFunc: a.podGone,
	})
	if err != nil {
		return err
	}
	changed := func(any) {
		list := listServices(services)
		a.hosts.setServices(list)
		a.balancer.setServices(list)
		a.directory.setServices(list)
	}
	_, err = services.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
	})
	return err
}

func listServices(informer cache.SharedIndexInformer) []*corev1.Service {
	var out []*corev1.Service
	for _, o := range informer.GetStore().List() {
		if s, ok := o.(*corev1.Service); ok {
			out = append(out, s)
		}
	}
	return out
}

func (a *Agent) podChanged(ctx context.Context, o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	if pod.Spec.NodeName == "" {
		a.running.Go(func() { a.bind(ctx, pod) })
		return
	}
	if pod.Spec.NodeName != Name {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w, ok := a.workers[pod.UID]; ok {
		w.update(pod)
		return
	}
	if finished(pod) && pod.DeletionTimestamp == nil {
		return
	}
	w := newWorker(a, pod)
	a.workers[pod.UID] = w
	a.running.Go(func() {
		w.run(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.workers, pod.UID)
	})
}

// bind gives an unscheduled pod to this node. A conflict means that it has happened already.
func (a *Agent) bind(ctx context.Context, pod *corev1.Pod) {
	if pod.DeletionTimestamp != nil || pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
		return
	}
	if err := a.Client.Bind(ctx, pod, Name); err != nil && ctx.Err() == nil {
		a.Log.Debug("binding", "pod", podName(pod), "error", err)
	}
}

func (a *Agent) podGone(o any) {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w, ok := a.workers[pod.UID]; ok {
		w.vanish()
	}
}

// Pods reports on every pod that the agent runs.
func (a *Agent) Pods() []conn.PodStatus {
	out := []conn.PodStatus{}
	for _, w := range a.all() {
		out = append(out, w.report())
	}
	return out
}

// DialPod connects to an address as seen from inside a pod, given as namespace/name.
func (a *Agent) DialPod(ctx context.Context, pod, addr string) (net.Conn, error) {
	w := a.find(pod)
	if w == nil {
		return nil, fmt.Errorf("no pod %s runs here", pod)
	}
	return w.dial(ctx, addr)
}

func (a *Agent) all() []*worker {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*worker, 0, len(a.workers))
	for _, w := range a.workers {
		out = append(out, w)
	}
	return out
}

func (a *Agent) find(pod string) *worker {
	for _, w := range a.all() {
		if podName(w.current()) == pod {
			return w
		}
	}
	return nil
}

func (a *Agent) podDir(pod *corev1.Pod) string {
	return a.Lab.Path("pods", filepath.Base(string(pod.UID)))
}

func podName(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
