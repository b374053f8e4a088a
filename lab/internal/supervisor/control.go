package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/node"
)

// connectPatience is how long a connection into the lab may take to be made.
const connectPatience = 10 * time.Second

// errUnknownPart says which parts there are.
var errUnknownPart = errors.New("the parts are etcd, apiserver, controllers and prometheus (istiod is a Deployment: use kubectl)")

// startStopper is a part that can be stopped and started again.
type startStopper interface {
	start(ctx, life context.Context) error
	stop(ctx context.Context) error
}

// serveControl answers package conn until ctx ends.
func (s *Supervisor) serveControl(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status())
	})
	mux.HandleFunc("POST /parts/{part}/{verb}", s.controlPart)
	mux.HandleFunc("POST /shutdown", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		s.end()
	})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			s.tunnel(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("serving commands", "error", err)
	}
}

func (s *Supervisor) controlPart(w http.ResponseWriter, r *http.Request) {
	part, err := s.find(r.PathValue("part"))
	if err == nil {
		switch r.PathValue("verb") {
		case "start":
			err = s.startPart(r.Context(), part)
		case "stop":
			err = part.stop(r.Context())
		default:
			err = fmt.Errorf("%q: say start or stop", r.PathValue("verb"))
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// startPart starts a part. The controllers begin anew with the API server, as they do in a real cluster when they
// lose their lease; otherwise their pauses between attempts, by then half a minute long, would go on.
func (s *Supervisor) startPart(ctx context.Context, p startStopper) error {
	if err := p.start(ctx, s.life); err != nil {
		return err
	}
	if started, ok := p.(*part); !ok || started.name != apiserver {
		return nil
	}
	controllers, err := s.find(controllerManager)
	if err != nil {
		return err
	}
	if c, ok := controllers.(*part); !ok || !c.running() {
		return nil
	}
	if err := controllers.stop(ctx); err != nil {
		return err
	}
	return controllers.start(ctx, s.life)
}

func (s *Supervisor) find(name string) (startStopper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prometheus != nil && name == s.prometheus.name {
		return s.prometheus, nil
	}
	i := slices.IndexFunc(s.parts, func(p *part) bool { return p.name == name })
	if i < 0 {
		return nil, fmt.Errorf("no part %q: %w", name, errUnknownPart)
	}
	return s.parts[i], nil
}

// tunnel connects the caller to an address inside the lab.
func (s *Supervisor) tunnel(w http.ResponseWriter, r *http.Request) {
	inside, err := s.dialFor(r.Context(), r.Header.Get(conn.PodHeader), r.Host)
	if err != nil {
		w.Header().Set(conn.ErrorHeader, strings.ReplaceAll(err.Error(), "\n", " "))
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	outside, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		inside.Close()
		return
	}
	if _, err := outside.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		inside.Close()
		outside.Close()
		return
	}
	// What the caller sent right after the request may sit in the reader already.
	if n := buffered.Reader.Buffered(); n > 0 {
		early, err := buffered.Reader.Peek(n)
		if err == nil {
			_, _ = inside.Write(early)
		}
	}
	stop := context.AfterFunc(s.life, func() {
		inside.Close()
		outside.Close()
	})
	defer stop()
	node.Splice(outside, inside)
}

func (s *Supervisor) dialFor(ctx context.Context, pod, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	s.mu.Lock()
	agent := s.agent
	s.mu.Unlock()
	if agent == nil {
		return nil, errors.New("the lab is still starting")
	}
	if pod != "" {
		return agent.DialPod(ctx, pod, addr)
	}
	return s.network.Dial(ctx, addr)
}

// status gathers everything that `lab status` prints.
func (s *Supervisor) status() conn.Status {
	out := conn.Status{
		Name: s.lab.Name, Kubeconfig: s.lab.Kubeconfig(), Dir: s.lab.Dir, PID: os.Getpid(),
		API:        fmt.Sprintf("https://127.0.0.1:%d", s.settings.Ports.API),
		Prometheus: fmt.Sprintf("http://127.0.0.1:%d", s.settings.Ports.Prometheus),
		Pods:       []conn.PodStatus{},
	}
	s.steps.report(&out)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent == nil {
		return out
	}
	for i := range out.Parts {
		s.describe(&out.Parts[i])
	}
	out.Pods = s.agent.Pods()
	slices.SortFunc(out.Pods, func(a, b conn.PodStatus) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return out
}

// describe adds to a stage that is a part what the part is now.
func (s *Supervisor) describe(p *conn.PartStatus) {
	if p.State != stateReady {
		return
	}
	if p.Name == s.prometheus.name {
		p.State = s.prometheus.status().State
	}
	for _, part := range s.parts {
		if part.name == p.Name {
			now := part.status()
			p.State, p.PID, p.RSS = now.State, now.PID, now.RSS
		}
	}
}
