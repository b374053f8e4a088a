package fakekube

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Forward serves a port of a pod, for port-forwards and for the API server's pod proxy. A nil handler closes it.
func (s *Server) Forward(namespace, pod, port string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forwards[namespace+"/"+pod+":"+port] = h
}

func (s *Server) handler(namespace, pod, port string) http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forwards[namespace+"/"+pod+":"+port]
}

// proxy serves /pods/NAME:PORT/proxy and /services/NAME:PORT/proxy.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, p path) {
	name := strings.TrimPrefix(strings.TrimPrefix(p.name, "http:"), "https:")
	pod, port, _ := strings.Cut(name, ":")
	h := s.handler(p.namespace, pod, port)
	if h == nil {
		writeStatus(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "no endpoints available")
		return
	}
	r = r.Clone(r.Context())
	r.URL.Path = p.rest
	h.ServeHTTP(w, r)
}

// portForward serves port-forwards over SPDY.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request, p path) {
	s.mu.Lock()
	exists := s.objects[path{resource: "pods", namespace: p.namespace, name: p.name}.key()] != nil
	s.mu.Unlock()
	if !exists {
		writeStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods %q not found", p.name))
		return
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "unable to upgrade: unable to negotiate protocol")
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	f := &forward{server: s, namespace: p.namespace, pod: p.name, waiting: map[string]httpstream.Stream{}}
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, f.stream)
	if conn == nil {
		return
	}
	defer conn.Close()
	<-conn.CloseChan()
}

// forward is one port-forward: every connection is an error stream and a data stream with one number.
type forward struct {
	server         *Server
	namespace, pod string
	mu             sync.Mutex
	waiting        map[string]httpstream.Stream
}

func (f *forward) stream(st httpstream.Stream, replySent <-chan struct{}) error {
	id, port := st.Headers().Get("requestID"), st.Headers().Get("port")
	f.mu.Lock()
	defer f.mu.Unlock()
	if st.Headers().Get("streamType") == "error" {
		f.waiting[id] = st
		return nil
	}
	errors := f.waiting[id]
	delete(f.waiting, id)
	go func() {
		<-replySent
		f.connect(st, errors, port)
	}()
	return nil
}

// connect joins a data stream with the port's handler, through a real connection.
func (f *forward) connect(data, errors httpstream.Stream, port string) {
	defer data.Close()
	defer errors.Close()
	h := f.server.handler(f.namespace, f.pod, port)
	if h == nil {
		fmt.Fprintf(errors, "error forwarding port %s to pod %s: connection refused", port, f.pod)
		return
	}
	backend := httptest.NewServer(h)
	defer backend.Close()
	c, err := net.Dial("tcp", backend.Listener.Addr().String())
	if err != nil {
		fmt.Fprint(errors, err)
		return
	}
	defer c.Close()
	go func() {
		io.Copy(c, data) //nolint:errcheck // either side may end it
		c.Close()
	}()
	io.Copy(data, c) //nolint:errcheck // either side may end it
}
