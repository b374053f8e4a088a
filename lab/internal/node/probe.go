package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// eager is how often a container is asked before it was ready for the first time.
const eager = 200 * time.Millisecond

// probe asks for the container's readiness until ctx ends.
func (c *container) probe(ctx context.Context) {
	p := c.spec.ReadinessProbe
	if p == nil {
		return
	}
	period := time.Duration(max(p.PeriodSeconds, 1)) * time.Second
	pause, good, bad := eager, int32(0), int32(0)
	for sleep(ctx, pause) {
		if c.ask(ctx, p) == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		if ctx.Err() != nil {
			return
		}
		ready := c.snapshot().ready
		switch {
		case !ready && good >= max(p.SuccessThreshold, 1):
			pause = period
			c.setReady(true)
		case ready && bad >= max(p.FailureThreshold, 1):
			c.setReady(false)
		}
	}
}

func (c *container) setReady(ready bool) {
	c.change(func(s *snapshot) { s.ready = ready && s.pid != 0 })
}

// ask carries one probe out, from outside the pod as a kubelet would.
func (c *container) ask(ctx context.Context, p *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(p.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		return c.worker.agent.Network.Dial(ctx, addr)
	}
	switch {
	case p.HTTPGet != nil:
		return c.askHTTP(ctx, p.HTTPGet, dial)
	case p.TCPSocket != nil:
		conn, err := dial(ctx, "tcp", c.address(p.TCPSocket.Port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return fmt.Errorf("container %s: only httpGet and tcpSocket probes work here", c.spec.Name)
}

func (c *container) askHTTP(ctx context.Context, get *corev1.HTTPGetAction, dial func(context.Context, string, string) (net.Conn, error)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address(get.Port)+get.Path, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("container %s: probe answered %s", c.spec.Name, resp.Status)
	}
	return nil
}

func (c *container) address(port intstr.IntOrString) string {
	n := port.IntValue()
	for _, p := range c.spec.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal {
			n = int(p.ContainerPort)
		}
	}
	return net.JoinHostPort(c.worker.ip(), strconv.Itoa(n))
}
