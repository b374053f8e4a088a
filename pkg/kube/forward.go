package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // client-go portforward still speaks in these types
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streaming "k8s.io/streaming/pkg/httpstream"
)

// maxTunnels is how many port-forwards to proxies stay open between barriers.
const maxTunnels = 48

// deniedFor is how long a missing right is taken to be missing.
const deniedFor = 30 * time.Second

// forwarder keeps port-forwards open: opening one costs more than all that is asked through it.
type forwarder struct {
	cluster *Cluster
	config  *rest.Config
	// spdyOnly is set once the API server turned out not to speak WebSocket for port-forwards.
	spdyOnly atomic.Bool
	sessions atomic.Int64

	mu      sync.Mutex
	tunnels map[string]*tunnel
	denied  map[string]denial
	closed  bool
}

// denial is a right that was missing in a namespace, which is not asked for again for a while.
type denial struct {
	err error
	at  time.Time
}

// tunnel is one port-forward to a pod; any number of connections to any of its ports share it.
type tunnel struct {
	session string
	ready   chan struct{}
	conn    httpstream.Connection
	err     error
	used    time.Time
	request atomic.Int64
	http    *http.Client
}

func newForwarder(c *Cluster) *forwarder {
	config := rest.CopyConfig(c.config)
	config.Timeout = 0
	return &forwarder{cluster: c, config: config, tunnels: map[string]*tunnel{}, denied: map[string]denial{}}
}

// Close ends all port-forwards.
func (f *forwarder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for key, t := range f.tunnels {
		delete(f.tunnels, key)
		go t.close()
	}
}

func (t *tunnel) close() {
	<-t.ready
	if t.conn != nil {
		t.http.CloseIdleConnections()
		t.conn.Close()
	}
}

// alive tells whether a tunnel can still be used.
func (t *tunnel) alive() bool {
	select {
	case <-t.ready:
	default:
		return true
	}
	if t.err != nil {
		return false
	}
	select {
	case <-t.conn.CloseChan():
		return false
	default:
		return true
	}
}

// open gives the tunnel to a pod, an open one where there is one.
func (f *forwarder) open(ctx context.Context, namespace, pod string) (*tunnel, error) {
	t, err := f.claim(namespace, pod)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("forwarding a port of pod %s/%s: %w", namespace, pod, ctx.Err())
	case <-t.ready:
		return t, t.err
	}
}

func (f *forwarder) claim(namespace, pod string) (*tunnel, error) {
	key := namespace + "/" + pod
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errors.New("forwarding a port: the prover was closed")
	}
	if d, ok := f.denied[namespace]; ok && time.Since(d.at) < deniedFor {
		return nil, d.err
	}
	t := f.tunnels[key]
	if t == nil || !t.alive() {
		t = &tunnel{session: key + "#" + strconv.FormatInt(f.sessions.Add(1), 10), ready: make(chan struct{})}
		f.tunnels[key] = t
		// The dialers take no context: a dial that nobody waits for any more ends by itself and stays in the pool.
		go f.dial(t, namespace, pod)
	}
	t.used = time.Now()
	f.evict()
	return t, nil
}

// drop closes a tunnel that failed, so that the next question opens another one.
func (f *forwarder) drop(t *tunnel) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, have := range f.tunnels {
		if have == t {
			delete(f.tunnels, key)
			go t.close()
		}
	}
}

// evict closes the tunnels that were not used for longest. The caller holds f.mu.
func (f *forwarder) evict() {
	for len(f.tunnels) > maxTunnels {
		oldest := ""
		for key, t := range f.tunnels {
			if oldest == "" || t.used.Before(f.tunnels[oldest].used) {
				oldest = key
			}
		}
		go f.tunnels[oldest].close()
		delete(f.tunnels, oldest)
	}
}

func (f *forwarder) dial(t *tunnel, namespace, pod string) {
	defer close(t.ready)
	u := f.cluster.rest.Post().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "portforward").URL()
	dialer, err := f.dialer(u)
	if err == nil {
		t.conn, _, err = dialer.Dial(portforward.PortForwardProtocolV1Name)
	}
	if err != nil {
		t.conn = nil
		t.err = f.explain(namespace, pod, err)
		f.deny(namespace, t.err)
		return
	}
	t.http = &http.Client{Transport: &http.Transport{
		DialContext:        func(_ context.Context, _, addr string) (net.Conn, error) { return t.stream(addr) },
		DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}}
}

// deny remembers a missing right: rights are given per namespace, and every refused dial costs two requests.
func (f *forwarder) deny(namespace string, err error) {
	var rights *RightsError
	if errors.As(err, &rights) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.denied[namespace] = denial{err: err, at: time.Now()}
	}
}

// dialer prefers WebSocket, which proxies and load balancers let through, and remembers where it is not spoken.
func (f *forwarder) dialer(u *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("preparing a port-forward: %w", err)
	}
	old := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u)
	if f.spdyOnly.Load() {
		return old, nil
	}
	tunneling, err := portforward.NewSPDYOverWebsocketDialer(u, f.config)
	if err != nil {
		return nil, fmt.Errorf("preparing a port-forward: %w", err)
	}
	return portforward.NewFallbackDialer(tunneling, old, func(err error) bool {
		fallback := (streaming.IsUpgradeFailure(err) || streaming.IsHTTPSProxyError(err)) && !apierrors.IsForbidden(err)
		if fallback {
			f.spdyOnly.Store(true)
		}
		return fallback
	}), nil
}

// goneError says that a pod does not exist.
type goneError struct{ pod string }

func (e *goneError) Error() string { return "pod " + e.pod + " does not exist" }

// explain sorts a refused port-forward: no pod, no right, or something else.
func (f *forwarder) explain(namespace, pod string, err error) error {
	doing := fmt.Sprintf("forwarding a port of pod %s/%s", namespace, pod)
	text := err.Error()
	switch {
	case apierrors.IsNotFound(err) || strings.Contains(text, "not found"):
		return &goneError{pod: namespace + "/" + pod}
	case strings.Contains(text, "cannot ") && strings.Contains(text, "pods/portforward"):
		rights := &RightsError{Doing: doing, Verb: "create", Resource: "pods/portforward", Namespace: namespace, Err: err}
		if m := rbacWords.FindStringSubmatch(text); m != nil {
			rights.Verb = m[1]
		}
		return rights
	}
	return f.cluster.explain(doing, err)
}

// stream opens a connection to a port of the pod, as net.Conn for an HTTP client.
func (t *tunnel) stream(addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("forwarding a port: %w", err)
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, port)
	number := t.request.Add(1)
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(number, 10))
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	errors, err := t.conn.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("forwarding port %s: %w", port, err)
	}
	errors.Close() // we only read it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(headers)
	if err != nil {
		t.conn.RemoveStreams(errors)
		return nil, fmt.Errorf("forwarding port %s: %w", port, err)
	}
	c := &streamConn{Stream: data, number: number, tunnel: t, errors: errors, failed: make(chan struct{})}
	go c.watch()
	return c, nil
}

// streamConn is a forwarded connection.
type streamConn struct {
	httpstream.Stream
	tunnel *tunnel
	number int64
	errors httpstream.Stream
	once   sync.Once
	failed chan struct{}
	reason string
}

// watch waits for what the kubelet says of the connection; an error ends it.
func (c *streamConn) watch() {
	defer close(c.failed)
	message, err := io.ReadAll(c.errors)
	if err == nil && len(message) > 0 {
		c.reason = strings.TrimSpace(string(message))
		c.Stream.Reset()
	}
}

// Read reads from the pod. Where the connection broke, the kubelet's reason is the error.
func (c *streamConn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	select {
	case <-c.failed:
	case <-time.After(50 * time.Millisecond):
	}
	select {
	case <-c.failed:
		if c.reason != "" {
			return 0, errors.New(c.reason)
		}
	default:
	}
	return 0, err
}

// Close ends the connection and frees its streams.
func (c *streamConn) Close() error {
	c.once.Do(func() {
		c.Stream.Close()
		c.Stream.Reset()
		c.tunnel.conn.RemoveStreams(c.Stream, c.errors)
	})
	return nil
}

// The address and the deadlines of a forwarded connection: requests are bounded by their context instead.

func (c *streamConn) LocalAddr() net.Addr              { return forwarded{} }
func (c *streamConn) RemoteAddr() net.Addr             { return forwarded{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }

type forwarded struct{}

func (forwarded) Network() string { return "portforward" }
func (forwarded) String() string  { return "pod" }
