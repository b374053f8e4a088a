package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// balancedAnnotation marks the Services whose ClusterIP the agent serves. Others need none: the sidecars
// take their traffic before it leaves the pod.
const balancedAnnotation = "meshpol.lab/balanced"

const dialPatience = 5 * time.Second

var errNoEndpoint = errors.New("no ready pod")

// balancer stands in for kube-proxy where a Service is used from outside the mesh.
type balancer struct {
	agent *Agent

	mu        sync.Mutex
	services  []*corev1.Service
	changed   chan struct{}
	listeners map[string]net.Listener
	turn      int
}

func newBalancer(a *Agent) *balancer {
	return &balancer{agent: a, changed: make(chan struct{}, 1), listeners: map[string]net.Listener{}}
}

func (b *balancer) setServices(services []*corev1.Service) {
	b.mu.Lock()
	b.services = services
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// target finds where a new connection shall go.
type target func() (addr string, err error)

func (b *balancer) run(ctx context.Context) {
	api := net.JoinHostPort(Address, strconv.Itoa(APIPort))
	wanted := map[string]target{APIAddress + ":443": func() (string, error) { return api, nil }}
	for {
		b.reconcile(ctx, wanted)
		select {
		case <-b.changed:
			wanted = b.wanted()
			wanted[APIAddress+":443"] = func() (string, error) { return api, nil }
		case <-ctx.Done():
			b.reconcile(ctx, nil)
			return
		}
	}
}

func (b *balancer) wanted() map[string]target {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]target{}
	for _, s := range b.services {
		if s.Annotations[balancedAnnotation] != "true" || s.Spec.ClusterIP == "" {
			continue
		}
		for _, p := range s.Spec.Ports {
			addr := net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(p.Port)))
			out[addr] = func() (string, error) { return b.pick(s, p) }
		}
	}
	return out
}

func (b *balancer) reconcile(ctx context.Context, wanted map[string]target) {
	for addr, l := range b.listeners {
		if _, ok := wanted[addr]; !ok {
			l.Close()
			delete(b.listeners, addr)
		}
	}
	for addr, to := range wanted {
		if _, ok := b.listeners[addr]; ok {
			continue
		}
		l, err := b.agent.Network.Listen(ctx, addr)
		if err != nil {
			b.agent.Log.Error("listening for a Service", "address", addr, "error", err)
			continue
		}
		b.listeners[addr] = l
		go b.serve(ctx, l, to)
	}
}

func (b *balancer) serve(ctx context.Context, l net.Listener, to target) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go b.forward(ctx, c, to)
	}
}

func (b *balancer) forward(ctx context.Context, c net.Conn, to target) {
	addr, err := to()
	if err != nil {
		c.Close()
		return
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	up, err := b.agent.Network.Dial(dialCtx, addr)
	if err != nil {
		c.Close()
		return
	}
	Splice(c, up)
}

// pick returns the address of the next ready pod of a Service.
func (b *balancer) pick(s *corev1.Service, port corev1.ServicePort) (string, error) {
	selector := labels.SelectorFromSet(s.Spec.Selector)
	var found []string
	for _, w := range b.agent.all() {
		pod := w.current()
		if pod.Namespace != s.Namespace || pod.DeletionTimestamp != nil || !selector.Matches(labels.Set(pod.Labels)) || !w.ready() {
			continue
		}
		if n := targetPort(pod, port); n != 0 {
			found = append(found, net.JoinHostPort(w.ip(), strconv.Itoa(n)))
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("Service %s/%s: %w", s.Namespace, s.Name, errNoEndpoint)
	}
	slices.Sort(found)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return found[b.turn%len(found)], nil
}

func targetPort(pod *corev1.Pod, port corev1.ServicePort) int {
	if port.TargetPort.Type == intstr.Int {
		if port.TargetPort.IntVal != 0 {
			return int(port.TargetPort.IntVal)
		}
		return int(port.Port)
	}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == port.TargetPort.StrVal {
				return int(p.ContainerPort)
			}
		}
	}
	return 0
}

// Splice copies between two connections until both directions have ended, and closes them.
func Splice(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { copyHalf(a, b) })
	both.Go(func() { copyHalf(b, a) })
	both.Wait()
	a.Close()
	b.Close()
}

// copyHalf passes one direction on, its end included; a broken direction breaks the other.
func copyHalf(dst, src net.Conn) {
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		src.Close()
		return
	}
	if c, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return
	}
	dst.Close()
}
