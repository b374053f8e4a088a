package kube

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// FieldManager is the name under which the API server notes which fields are ours.
const FieldManager = "meshpol"

// The limits of a client that says nothing else: enough for a rollout, little beside what controllers send.
const (
	defaultQPS     = 50
	defaultBurst   = 100
	defaultTimeout = 20 * time.Second
	chunk          = 500
)

var (
	_ rollout.Objects = (*Cluster)(nil)
	_ rollout.Pods    = (*Cluster)(nil)
)

// Options are the settings of a Cluster; the zero value works.
type Options struct {
	// Name is what the user calls the cluster: the kubeconfig context.
	Name string
	// QPS and Burst limit the requests to the API server: 50 and 100 where they are 0.
	QPS   float32
	Burst int
	// Timeout bounds one request: 20 s where it is 0.
	Timeout time.Duration
	// Version is meshpol's own version, for the user agent.
	Version string
	// Warn is told what the API server warns of; nil: nobody.
	Warn func(text string)
	// Mesh is istio or linkerd; empty: whichever is found, Istio first.
	Mesh string
}

// Cluster is a client of one Kubernetes cluster. It is safe for concurrent use.
type Cluster struct {
	name, mesh string
	config     *rest.Config
	rest       rest.Interface
	dynamic    dynamic.Interface
	requests   *counter

	mu   sync.Mutex
	apis *apiTable
}

// New connects nothing yet: it prepares a client from a kubeconfig's settings.
func New(config *rest.Config, o Options) (*Cluster, error) {
	c := &Cluster{name: o.Name, mesh: o.Mesh, requests: newCounter(), config: settings(config, o)}
	c.config.Wrap(c.requests.wrap)
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, &ConfigError{Err: err, Next: "check the certificates and the exec plugin in the kubeconfig"}
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(c.config, client); err != nil {
		return nil, fmt.Errorf("preparing a client of %s: %w", c.config.Host, err)
	}
	if c.rest, err = rest.UnversionedRESTClientForConfigAndClient(rawConfig(c.config), client); err != nil {
		return nil, fmt.Errorf("preparing a client of %s: %w", c.config.Host, err)
	}
	return c, nil
}

// settings is a copy of a config with our limits and name.
func settings(config *rest.Config, o Options) *rest.Config {
	out := rest.CopyConfig(config)
	out.QPS, out.Burst, out.Timeout = orElse(o.QPS, defaultQPS), orElse(o.Burst, defaultBurst), orElse(o.Timeout, defaultTimeout)
	// One limiter for all clients that are made of this config: a limit that is counted per client is none.
	out.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(out.QPS, out.Burst)
	out.WarningHandlerWithContext = warnings(o.Warn)
	out.UserAgent = fmt.Sprintf("meshpol/%s (%s/%s)", orElse(o.Version, "dev"), runtime.GOOS, runtime.GOARCH)
	return out
}

// warnings hands on what the API server warns of; client-go would print it.
type warnings func(string)

// HandleWarningHeaderWithContext is called by client-go.
func (w warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if w != nil && code == 299 && text != "" {
		w(text)
	}
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// rawConfig is for requests whose answers we decode ourselves; only Status is known to it, for the server's words.
func rawConfig(config *rest.Config) *rest.Config {
	out := rest.CopyConfig(config)
	scheme := apiruntime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	out.GroupVersion = &schema.GroupVersion{}
	out.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return out
}

// Name is what the user calls the cluster.
func (c *Cluster) Name() string { return c.name }

// Server is the address of the API server.
func (c *Cluster) Server() string { return c.config.Host }

// Requests are the requests sent so far, by verb and resource ("patch pods").
func (c *Cluster) Requests() map[string]int { return c.requests.snapshot() }

// bodyOf is the body of an answer. The error of Result.Raw lacks the server's words, which Result.Error decodes.
func bodyOf(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}
