package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/meshpol/meshpol/lab/internal/process"
)

// EnterCommand is the hidden subcommand of the lab binary that runs a program inside a container.
const EnterCommand = "container-enter"

const idleTimeout = 4 * time.Hour

// portForwardProtocols are what the API server speaks to kubelets.
var portForwardProtocols = []string{portforward.ProtocolV1Name}

// serveKubelet serves the kubelet's API to holders of a certificate of the lab's authority.
func (a *Agent) serveKubelet(ctx context.Context) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.CA)
	pair, err := tls.LoadX509KeyPair(a.Lab.Path("pki", "kubelet.crt"), a.Lab.Path("pki", "kubelet.key"))
	if err != nil {
		return fmt.Errorf("reading the node agent's certificate: %w", err)
	}
	l, err := a.Network.Listen(ctx, net.JoinHostPort(Address, strconv.Itoa(KubeletPort)))
	if err != nil {
		return fmt.Errorf("serving the kubelet's API: %w", err)
	}
	server := &http.Server{Handler: a.kubeletHandler(), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"http/1.1"}, // SPDY upgrades need it
	}}
	a.running.Go(func() {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("serving the kubelet's API", "error", err)
		}
	})
	context.AfterFunc(ctx, func() { server.Close() })
	return nil
}

func (a *Agent) kubeletHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("/portForward/{namespace}/{pod}", a.withPod(a.portForward))
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", a.withPod(a.exec))
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", a.withPod(a.logs))
	return mux
}

func (a *Agent) withPod(handle func(http.ResponseWriter, *http.Request, *worker)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("namespace") + "/" + r.PathValue("pod")
		found := a.find(name)
		if found == nil {
			http.Error(w, "no pod "+name+" runs on this node", http.StatusNotFound)
			return
		}
		handle(w, r, found)
	}
}

func (a *Agent) portForward(w http.ResponseWriter, r *http.Request, pod *worker) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{pod}, pod.current().Name, string(pod.current().UID), options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, portForwardProtocols)
}

// forwarder connects port-forward's streams to a pod's loopback address.
type forwarder struct{ pod *worker }

// PortForward implements portforward.PortForwarder.
func (f forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	dialCtx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	c, err := f.pod.dial(dialCtx, addr)
	if err != nil {
		return fmt.Errorf("connecting to port %d of pod %s: %w", port, podName(f.pod.current()), err)
	}
	defer c.Close()
	received := make(chan struct{})
	go func() {
		defer close(received)
		_, _ = io.Copy(stream, c)
	}()
	_, _ = io.Copy(c, stream)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	<-received
	return nil
}

func (a *Agent) exec(w http.ResponseWriter, r *http.Request, pod *worker) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	current := pod.current()
	remotecommand.ServeExec(w, r, executor{pod}, current.Name, string(current.UID), r.PathValue("container"),
		r.URL.Query()["command"], options, idleTimeout,
		remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

// executor runs commands inside a pod's containers, without a terminal.
type executor struct{ pod *worker }

// ExecInContainer implements remotecommand.Executor.
func (e executor) ExecInContainer(ctx context.Context, _, _, name string, cmd []string,
	in io.Reader, out, errOut io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	pid := e.pod.pid(name)
	if pid == 0 {
		return fmt.Errorf("container %s of pod %s does not run", name, podName(e.pod.current()))
	}
	agent := e.pod.agent
	args := append([]string{EnterCommand, strconv.Itoa(pid), "--"}, cmd...)
	c := exec.CommandContext(ctx, agent.Executable, args...)
	c.Env = []string{process.Marker + "=" + agent.Lab.Name, "PATH=/run/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	c.Stdout, c.Stderr = out, errOut
	if errOut == nil {
		c.Stderr = out
	}
	if in != nil {
		// Through a pipe of our own: Wait would otherwise wait for the client's input to end.
		stdin, err := c.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			stdin.Close()
		}()
	}
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// pid is the main process of a container, or 0.
func (w *worker) pid(name string) int {
	for _, c := range append(append([]*container{}, w.containers...), w.inits...) {
		if c.spec.Name == name {
			return c.snapshot().pid
		}
	}
	return 0
}
