package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/meshpol/meshpol/lab/internal/container"
	"github.com/meshpol/meshpol/lab/internal/node"
	"github.com/meshpol/meshpol/lab/internal/process"
)

// Names of the control plane's parts.
const (
	etcd              = "etcd"
	apiserver         = "apiserver"
	controllerManager = "controllers"
)

// controllers are the parts of the controller manager that the lab needs.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller," +
	"endpointslice-controller,endpoints-controller,serviceaccount-controller,namespace-controller," +
	"garbage-collector-controller,job-controller,cronjob-controller,ttl-after-finished-controller," +
	"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller"

func (s *Supervisor) planeParts() []*part {
	return []*part{
		s.planePart(etcd, s.etcdArgs(), s.askHTTP("http://127.0.0.1:2379/health")),
		s.planePart(apiserver, s.apiserverArgs(), func(ctx context.Context) error { return s.client.Ready(ctx) }),
		s.planePart(controllerManager, s.controllerArgs(), func(ctx context.Context) error {
			c, err := s.network.Dial(ctx, "127.0.0.1:10257")
			if err != nil {
				return err
			}
			return c.Close()
		}),
	}
}

func (s *Supervisor) planePart(name string, args []string, isReady func(context.Context) error) *part {
	return &part{name: name, isReady: isReady, log: s.log, launch: func(ctx context.Context) (*process.Process, error) {
		return s.launch(ctx, name, args)
	}}
}

// launch starts a program of the control plane in the lab's network.
func (s *Supervisor) launch(ctx context.Context, name string, args []string) (*process.Process, error) {
	spec := container.Spec{
		Mounts: []container.Mount{{Source: s.lab.Path("hosts"), Target: "/etc/hosts"}},
		Dir:    s.lab.Dir, Args: append([]string{s.lab.Path("bin", "kube")}, args...), NetNS: true,
		Env: []string{process.Marker + "=" + s.lab.Name, "PATH=/usr/bin:/bin", "HOME=" + s.lab.Dir},
	}
	path := s.lab.Path(name + ".json")
	if err := spec.Write(path); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(s.lab.Log(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	return s.spawner.Start(ctx, process.Command{
		Name: name, Path: s.executable, Args: []string{container.Command, path}, Env: spec.Env, Output: output,
		Files: []*os.File{s.network.File()}, CloneFlags: container.CloneFlags,
	})
}

func (s *Supervisor) etcdArgs() []string {
	return []string{
		"etcd", "--data-dir=" + s.lab.Path("etcd"), "--name=default",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=warn",
	}
}

func (s *Supervisor) apiserverArgs() []string {
	pki := func(name string) string { return s.lab.Path("pki", name) }
	return []string{
		"kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--cert-dir=" + s.lab.Path("pki"),
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		fmt.Sprintf("--secure-port=%d", node.APIPort), "--bind-address=0.0.0.0", "--advertise-address=" + node.Address,
		"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC", "--token-auth-file=" + pki("tokens.csv"), "--allow-privileged",
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
		"--client-ca-file=" + pki("ca.crt"),
	}
}

func (s *Supervisor) controllerArgs() []string {
	return []string{
		"kube-controller-manager", "--kubeconfig=" + s.lab.Path("pki", "inside.kubeconfig"),
		"--controllers=" + controllers, "--leader-elect=false", "--bind-address=127.0.0.1",
		"--root-ca-file=" + s.lab.Path("pki", "ca.crt"), "--kube-api-qps=100", "--kube-api-burst=200",
	}
}

// askHTTP asks a URL inside the lab.
func (s *Supervisor) askHTTP(url string) func(context.Context) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: s.dialInside}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(strings.ToLower(resp.Status))
		}
		return nil
	}
}

func (s *Supervisor) dialInside(ctx context.Context, _, addr string) (net.Conn, error) {
	return s.network.Dial(ctx, addr)
}
