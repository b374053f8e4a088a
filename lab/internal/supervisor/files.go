package supervisor

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/meshpol/meshpol/lab/internal/certs"
	"github.com/meshpol/meshpol/lab/internal/manifest"
	"github.com/meshpol/meshpol/lab/internal/node"
	"github.com/meshpol/meshpol/lab/internal/state"
)

// Settings are what `lab up` hands to the supervisor, in a file of the lab's directory.
type Settings struct {
	Ports          state.Ports   `json:"ports"`
	ScrapeInterval time.Duration `json:"scrapeInterval"`
	// Shop says whether to start the sample system.
	Shop bool `json:"shop"`
}

// Write stores the settings for the supervisor.
func (s Settings) Write(lab state.Lab) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(lab.Path("settings.json"), data, 0o644)
}

func readSettings(lab state.Lab) (Settings, error) {
	var s Settings
	data, err := os.ReadFile(lab.Path("settings.json"))
	if err != nil {
		return s, fmt.Errorf("reading the lab's settings: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the lab's settings: %w", err)
	}
	return s, nil
}

// credentials let the lab's own parts use the API server.
type credentials struct {
	ca    []byte
	token string
}

// writeFiles makes everything that the control plane reads at its start.
func writeFiles(lab state.Lab, s Settings, now time.Time) (credentials, error) {
	for _, dir := range []string{"pki", "share", "data", "pods", "logs/pods"} {
		if err := os.MkdirAll(lab.Path(dir), 0o755); err != nil {
			return credentials{}, err
		}
	}
	authority, err := certs.NewAuthority(lab.Path("pki"), "meshpol-lab "+lab.Name, now)
	if err != nil {
		return credentials{}, err
	}
	if err := issueAll(authority, now); err != nil {
		return credentials{}, err
	}
	token, err := writeTokens(lab)
	if err != nil {
		return credentials{}, err
	}
	c := credentials{ca: authority.PEM(), token: token}
	prometheus, err := manifest.PrometheusConfig(s.ScrapeInterval)
	if err != nil {
		return credentials{}, err
	}
	outside := fmt.Sprintf("https://127.0.0.1:%d", s.Ports.API)
	inside := fmt.Sprintf("https://%s:%d", node.Address, node.APIPort)
	for _, f := range []struct {
		path string
		text string
		mode os.FileMode
	}{
		{lab.Kubeconfig(), kubeconfig("lab-"+lab.Name, outside, c), 0o600},
		{lab.Path("pki", "inside.kubeconfig"), kubeconfig("inside", inside, c), 0o600},
		{lab.Path("hosts"), "127.0.0.1 localhost\n", 0o644},
		{lab.Path("share", "resolv.conf"), "", 0o644},
		{lab.Path("share", "prometheus.yml"), string(prometheus), 0o644},
	} {
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return credentials{}, err
		}
	}
	return c, nil
}

func issueAll(a *certs.Authority, now time.Time) error {
	for _, r := range []certs.Request{
		{
			File: "apiserver", Name: "kube-apiserver",
			DNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs: []string{"127.0.0.1", node.Address, node.APIAddress},
		},
		{File: "kubelet", Name: "system:node:" + node.Name, Orgs: []string{"system:nodes"}, IPs: []string{node.Address}},
		{File: "kubelet-client", Name: "kube-apiserver-kubelet-client"},
	} {
		if err := a.Issue(r, now); err != nil {
			return err
		}
	}
	return a.WriteSigningKey("sa")
}

// writeTokens makes the administrator's token and the file by which the API server knows it.
func writeTokens(lab state.Lab) (string, error) {
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return "", err
	}
	token := hex.EncodeToString(secret)
	return token, os.WriteFile(lab.Path("pki", "tokens.csv"), []byte(token+",lab-admin,lab-admin,system:masters\n"), 0o600)
}

func kubeconfig(name, server string, c credentials) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s-admin
  user:
    token: %[4]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s-admin}
`, name, server, base64.StdEncoding.EncodeToString(c.ca), c.token)
}
