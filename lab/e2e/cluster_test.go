//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// kubeconfig writes the lab's kubeconfig with changes and returns its path.
func (s *scene) kubeconfig(change func(*clientcmdapi.Config)) string {
	s.Helper()
	config, err := clientcmd.LoadFromFile(s.lab.Kubeconfig)
	s.must(err)
	change(config)
	path := s.TempDir() + "/kubeconfig"
	s.must(clientcmd.WriteToFile(*config, path))
	return path
}

// withToken is the lab's kubeconfig with a token in the place of the administrator's credentials.
func (s *scene) withToken(token string) string {
	s.Helper()
	return s.kubeconfig(func(c *clientcmdapi.Config) {
		for name := range c.AuthInfos {
			c.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
		}
	})
}

func (s *scene) withServer(url string) string {
	s.Helper()
	return s.kubeconfig(func(c *clientcmdapi.Config) {
		for _, cluster := range c.Clusters {
			cluster.Server, cluster.CertificateAuthorityData, cluster.CertificateAuthority, cluster.InsecureSkipTLSVerify = url, nil, "", strings.HasPrefix(url, "https")
		}
	})
}

// TestNoCluster: every command that needs a cluster says what is wrong with the way to it.
func TestNoCluster(t *testing.T) {
	s := newScene(t, 0, nil)
	s.Setenv("HOME", s.TempDir()) // no ~/.kube/config
	file := s.timeout("cart")
	for name, c := range map[string]struct {
		kubeconfig string
		flags      []string
		exit       int
		says       []string
	}{
		"no kubeconfig at all":     {"", nil, 2, []string{"reading the kubeconfig: there is none", "--kubeconfig"}},
		"a kubeconfig that is not": {s.dir + "/none", nil, 2, []string{"reading the kubeconfig: KUBECONFIG is ", "/none, and no cluster", "--kubeconfig"}},
		"a named one that is not":  {s.lab.Kubeconfig, []string{"--kubeconfig", s.dir + "/none"}, 2, []string{"reading the kubeconfig", "/none"}},
		"no such context":          {s.lab.Kubeconfig, []string{"--context", "prod"}, 2, []string{`context "prod" does not exist`, "kubectl config get-contexts"}},
		"connection refused":       {s.withServer("https://127.0.0.1:1"), nil, 1, []string{"https://127.0.0.1:1", "connection refused", "kubectl cluster-info"}},
		"a token that is none":     {s.withToken("not-a-token"), nil, 1, []string{"does not accept these credentials", "kubectl auth whoami"}},
		"an expired token":         {s.withToken(expired(t)), nil, 1, []string{"does not accept these credentials", "log in again"}},
		"another certificate":      {s.withAuthority(), nil, 1, []string{"certificate"}},
	} {
		lab := s.as(c.kubeconfig)
		for _, command := range [][]string{{"status", "-n", trial.Namespace}, {"plan", "-f", file}, {"rollout", "-f", file}, {"rollback", "cart-timeout", "-n", trial.Namespace}} {
			r := s.plain(lab, c.exit, append(command, c.flags...)...)
			for _, text := range c.says {
				s.says(r, text)
			}
			if lines := strings.Count(strings.TrimSpace(r.Stderr), "\n"); lines > 1 {
				t.Errorf("%s: %s: %d lines for one error:\n%s", name, command[0], lines+1, r.Stderr)
			}
		}
	}
	s.nothingWritten()
}

// withAuthority trusts another certificate authority than the lab's.
func (s *scene) withAuthority() string {
	s.Helper()
	other := httptest.NewTLSServer(http.NotFoundHandler())
	s.Cleanup(other.Close)
	pem := s.dir + "/other.pem"
	s.must(os.WriteFile(pem, certificatePEM(other.Certificate().Raw), 0o600))
	return s.kubeconfig(func(c *clientcmdapi.Config) {
		for _, cluster := range c.Clusters {
			cluster.CertificateAuthority, cluster.CertificateAuthorityData = pem, nil
		}
	})
}

// TestNoIstio: an API server that serves Kubernetes and no mesh.
func TestNoIstio(t *testing.T) {
	s := newScene(t, 0, nil)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/apis":
			fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`)
		case r.URL.Path == "/apis/apps/v1":
			fmt.Fprint(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[{"name":"deployments","kind":"Deployment","namespaced":true,"verbs":["get"]}]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "the server could not find the requested resource"})
		}
	}))
	t.Cleanup(api.Close)
	lab := s.as(s.withServer(api.URL))
	file := s.timeout("cart")
	for _, command := range []string{"validate", "plan", "rollout", "apply"} {
		r := s.plain(lab, 3, command, "-f", file)
		s.says(r, "no Istio or Linkerd in the cluster "+api.URL)
		s.says(r, "is the context right?")
	}
	s.plain(lab, 0, "validate", "--offline", "-f", file)
}
