package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshpol/meshpol/lab/internal/intercept"
	"github.com/meshpol/meshpol/lab/internal/netns"
)

// excludeInbound is Istio's annotation for ports that come in past the sidecar.
const excludeInbound = "traffic.sidecar.istio.io/excludeInboundPorts"

// sidecarName is the container that Istio's sidecar runs in.
const sidecarName = "istio-proxy"

// sandbox gives the pod its address, network, interception and hosts file.
func (w *worker) sandbox(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.address == 0 {
		n, err := w.agent.addresses.take()
		if err != nil {
			return err
		}
		w.address = n
	}
	dir := w.agent.podDir(w.pod)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := w.agent.hosts.add(w.hostsPath(), podHosts(w.pod, ip(w.address))); err != nil {
		return err
	}
	network, err := newPodNetwork(w.agent.Network, w.address)
	if err != nil {
		return err
	}
	if intercepted(w.pod) {
		excluded, err := ports(w.pod.Annotations[excludeInbound])
		if err == nil {
			err = intercept.Install(network.FD(), excluded)
		}
		if err != nil {
			network.Close()
			return err
		}
	}
	if err := w.count(ctx, network); err != nil {
		network.Close()
		return err
	}
	w.network = network
	return nil
}

// count lets the requests of a pod that has a proxy be counted.
func (w *worker) count(ctx context.Context, network *netns.Namespace) error {
	w.agent.directory.add(ip(w.address), w.pod)
	if !proxied(w.pod) {
		return nil
	}
	counting, err := w.agent.count(ctx, w.pod, ip(w.address), network)
	w.counting = counting
	return err
}

func newPodNetwork(lab *netns.Namespace, address int) (*netns.Namespace, error) {
	network, err := netns.New()
	if err != nil {
		return nil, err
	}
	if err := lab.Attach(network, Bridge, device(address), ip(address)+"/16", Address); err != nil {
		network.Close()
		return nil, err
	}
	return network, nil
}

func (w *worker) hostsPath() string {
	return filepath.Join(w.agent.podDir(w.pod), "hosts")
}

// intercepted says whether a pod's traffic goes through a sidecar; a gateway's proxy takes no traffic of others.
func intercepted(pod *corev1.Pod) bool {
	for _, c := range append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...) {
		if c.Name == sidecarName {
			return !slices.Contains(c.Args, "router")
		}
	}
	return false
}

// ports reads a list such as "9901,9902".
func ports(list string) ([]uint16, error) {
	var out []uint16
	for _, field := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: port %q: %w", excludeInbound, field, err)
		}
		out = append(out, uint16(n))
	}
	return out, nil
}
