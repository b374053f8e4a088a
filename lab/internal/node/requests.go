package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshpol/meshpol/lab/internal/intercept"
	"github.com/meshpol/meshpol/lab/internal/istiostats"
	"github.com/meshpol/meshpol/lab/internal/netns"
)

// AccessLogPort is where the proxy of every pod sends its access log, on the pod's own loopback address.
const AccessLogPort = 15092

// proxied says whether one of a pod's containers is Istio's proxy.
func proxied(pod *corev1.Pod) bool {
	return slices.ContainsFunc(append(slices.Clone(pod.Spec.InitContainers), pod.Spec.Containers...),
		func(c corev1.Container) bool { return c.Name == sidecarName })
}

// counting makes what stock Envoy lacks, Istio's count of requests, of one pod's access log. Whoever asks the proxy for
// its statistics is answered with both.
type counting struct {
	proxy *istiostats.Proxy
	page  *http.Server
	close []func()
}

// count begins to count for the pod of a network; Close ends it.
func (a *Agent) count(ctx context.Context, pod *corev1.Pod, address string, network *netns.Namespace) (*counting, error) {
	logs, err := network.Listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(AccessLogPort)))
	if err != nil {
		return nil, err
	}
	statistics, err := network.Listen(ctx, net.JoinHostPort("0.0.0.0", strconv.Itoa(intercept.MergedStatsPort)))
	if err == nil {
		err = intercept.MergeStats(network.FD())
	}
	if err != nil {
		logs.Close()
		return nil, err
	}
	envoy := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return network.Dial(ctx, addr)
	}}
	own := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(intercept.StatsPort))}
	c := &counting{proxy: istiostats.New(workload(pod), address, a.directory)}
	c.page = &http.Server{Handler: c.proxy.Page(envoy, own)}
	c.close = []func(){c.proxy.Close, func() { c.page.Close() }, envoy.CloseIdleConnections}
	go func() {
		if err := c.proxy.Serve(logs); err != nil {
			a.Log.Error("counting requests", "pod", podName(pod), "error", err)
		}
	}()
	go func() {
		if err := c.page.Serve(statistics); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("serving a proxy's statistics", "pod", podName(pod), "error", err)
		}
	}()
	return c, nil
}

// Close ends the counting.
func (c *counting) Close() {
	for _, f := range c.close {
		f()
	}
}
