// Package conn reaches into a running lab from an ordinary process: its supervisor listens on a
// unix socket and connects callers to addresses inside the lab's network.
package conn

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/meshpol/meshpol/lab/internal/state"
)

// PodHeader names the pod (namespace/name) from whose network a CONNECT request is to be dialled;
// without it the lab's control-plane network is used.
const PodHeader = "X-Lab-Pod"

// ErrorHeader carries the reason of a refused CONNECT request.
const ErrorHeader = "X-Lab-Error"

// Dialer connects to an address as seen inside a lab.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial returns a dialer for addresses inside the named lab: pod addresses and ClusterIPs that the lab balances.
// It fails at once when the lab is not running.
func Dial(ctx context.Context, labName string) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	return dialer(ctx, labName, "")
}

// DialPod returns a dialer that connects from inside the network of a pod, given as namespace/name.
func DialPod(ctx context.Context, labName, pod string) (Dialer, error) {
	return dialer(ctx, labName, pod)
}

// Kubeconfig returns the path of the named lab's administrator kubeconfig.
func Kubeconfig(labName string) (string, error) {
	lab, err := state.New(labName)
	if err != nil {
		return "", err
	}
	path := lab.Kubeconfig()
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("lab %q has no kubeconfig (start it with: lab up --name %s): %w", labName, labName, err)
	}
	return path, nil
}

func dialer(ctx context.Context, labName, pod string) (Dialer, error) {
	lab, err := state.New(labName)
	if err != nil {
		return nil, err
	}
	probe, err := dialSocket(ctx, lab)
	if err != nil {
		return nil, err
	}
	probe.Close()
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(network, "tcp") {
			return nil, fmt.Errorf("dialling %s in lab %q: network %q is not tcp", addr, labName, network)
		}
		c, err := dialSocket(ctx, lab)
		if err != nil {
			return nil, err
		}
		tunnel, err := connect(ctx, c, pod, addr)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("dialling %s in lab %q: %w", addr, labName, err)
		}
		return tunnel, nil
	}, nil
}

func dialSocket(ctx context.Context, lab state.Lab) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", lab.Socket())
	if err != nil {
		return nil, fmt.Errorf("lab %q is not running (start it with: lab up --name %s): %w", lab.Name, lab.Name, err)
	}
	return c, nil
}

// connect asks the supervisor at the other end of c for addr and returns c once it leads there.
func connect(ctx context.Context, c net.Conn, pod, addr string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if pod != "" {
		request += PodHeader + ": " + pod + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, resp.Header.Get(ErrorHeader))
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return &tunnel{Conn: c, r: r}, nil
}

// tunnel is a connection whose first bytes may already sit in the reader that took the response's head.
type tunnel struct {
	net.Conn
	r *bufio.Reader
}

func (t *tunnel) Read(p []byte) (int, error) { return t.r.Read(p) }

// CloseWrite ends the sending side, as a TCP connection would.
func (t *tunnel) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
