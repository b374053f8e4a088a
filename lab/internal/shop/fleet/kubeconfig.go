package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"
)

// apiTimeout bounds one question to the API server.
const apiTimeout = 15 * time.Second

// kubeconfig is the part of the file that is needed here. It is read without client-go, which would make every pod of
// the shop, whose program this is part of, several times as large.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
			User    string `json:"user"`
		} `json:"context"`
	} `json:"contexts"`
	Clusters []struct {
		Name    string  `json:"name"`
		Cluster cluster `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		Name string `json:"name"`
		User user   `json:"user"`
	} `json:"users"`
}

type cluster struct {
	Server string `json:"server"`
	CAData []byte `json:"certificate-authority-data"`
	CAFile string `json:"certificate-authority"`
}

type user struct {
	Token    string `json:"token"`
	CertData []byte `json:"client-certificate-data"`
	KeyData  []byte `json:"client-key-data"`
	CertFile string `json:"client-certificate"`
	KeyFile  string `json:"client-key"`
}

// api is a way to the API server.
type api struct {
	server string
	token  string
	client *http.Client
}

// openAPI reads the current context of a kubeconfig.
func openAPI(path string) (api, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return api{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var config kubeconfig
	if err := yaml.Unmarshal(data, &config); err != nil {
		return api{}, fmt.Errorf("reading the kubeconfig %s: %w", path, err)
	}
	c, u, err := config.current()
	if err != nil {
		return api{}, fmt.Errorf("reading the kubeconfig %s: %w", path, err)
	}
	secure, err := tlsConfig(c, u)
	if err != nil {
		return api{}, fmt.Errorf("reading the certificates of the kubeconfig %s: %w", path, err)
	}
	transport := &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}
	return api{server: c.Server, token: u.Token, client: &http.Client{Transport: transport, Timeout: apiTimeout}}, nil
}

func (k kubeconfig) current() (cluster, user, error) {
	var clusterName, userName string
	for _, c := range k.Contexts {
		if c.Name == k.CurrentContext {
			clusterName, userName = c.Context.Cluster, c.Context.User
		}
	}
	var u user
	for _, candidate := range k.Users {
		if candidate.Name == userName {
			u = candidate.User
		}
	}
	for _, candidate := range k.Clusters {
		if candidate.Name == clusterName && candidate.Cluster.Server != "" {
			return candidate.Cluster, u, nil
		}
	}
	return cluster{}, user{}, fmt.Errorf("current context %q leads to no server", k.CurrentContext)
}

func tlsConfig(c cluster, u user) (*tls.Config, error) {
	ca, err := dataOrFile(c.CAData, c.CAFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the certificate authority holds no certificate")
		}
	}
	cert, err := dataOrFile(u.CertData, u.CertFile)
	if err != nil || len(cert) == 0 {
		return config, err
	}
	key, err := dataOrFile(u.KeyData, u.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

func dataOrFile(data []byte, file string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	return os.ReadFile(file)
}
