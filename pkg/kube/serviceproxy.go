package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// notServed tells that the API server has no such path or kind.
func notServed(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err)
}

// Service names a port of a Service, as the API server's proxy reaches it.
type Service struct {
	Namespace, Name string
	// Port is a number or a name.
	Port string
	// Scheme is http or https.
	Scheme string
}

// String is namespace/name:port.
func (s Service) String() string { return s.Namespace + "/" + s.Name + ":" + s.Port }

func (s Service) path() string {
	name := s.Name + ":" + s.Port
	if s.Scheme == "https" {
		name = "https:" + name
	}
	return "/api/v1/namespaces/" + s.Namespace + "/services/" + name + "/proxy"
}

// ServiceProxyTransport sends HTTP requests to a Service through the API server, so that nothing but the API server
// need be reachable. The host of a request's URL does not matter. The caller's headers for authentication do not
// survive: the API server uses them up.
func (c *Cluster) ServiceProxyTransport(s Service) (http.RoundTripper, error) {
	return c.proxyTransport(s.path(), "asking service "+s.String())
}

// proxyTransport sends requests to what the API server proxies at a path; doing says what for, in an error.
func (c *Cluster) proxyTransport(path, doing string) (http.RoundTripper, error) {
	next, err := rest.TransportFor(c.config)
	if err != nil {
		return nil, fmt.Errorf("%s: preparing a client: %w", doing, err)
	}
	base, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return nil, fmt.Errorf("%s: reading the address of the API server %s: %w", doing, c.Server(), err)
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		out := r.Clone(r.Context())
		out.URL = proxyURL(base, path, r.URL)
		out.Host = ""
		resp, err := next.RoundTrip(out)
		if err != nil {
			return nil, c.explain(doing, err)
		}
		return resp, nil
	}), nil
}

func proxyURL(base *url.URL, path string, asked *url.URL) *url.URL {
	out := *base
	out.Path = strings.TrimSuffix(base.Path, "/") + path + asked.Path
	out.RawQuery = asked.RawQuery
	return &out
}

// NoPrometheusError says that no Prometheus was found in the cluster.
type NoPrometheusError struct {
	Server string
	// Rights is what kept us from looking everywhere; nil: nothing.
	Rights *RightsError
}

func (e *NoPrometheusError) Error() string {
	if e.Rights != nil {
		return fmt.Sprintf("no Prometheus was found in the cluster %s, and not everything could be looked through: missing %s; name one with --prometheus URL", e.Server, e.Rights.Right())
	}
	return fmt.Sprintf("no Prometheus in the cluster %s: no Service is labelled app.kubernetes.io/name=prometheus and none in istio-system, monitoring or linkerd-viz is called prometheus; name one with --prometheus URL", e.Server)
}

// FindPrometheus looks for the Service of a Prometheus.
func (c *Cluster) FindPrometheus(ctx context.Context) (Service, error) {
	a := core()[0]
	objects, err := c.listWith(ctx, a, "", "app.kubernetes.io/name=prometheus")
	var rights *RightsError
	if err != nil && !errors.As(err, &rights) {
		return Service{}, err
	}
	for _, o := range objects {
		if s, ok := prometheusService(o); ok {
			return s, nil
		}
	}
	for _, ns := range []string{istioSystem, "monitoring", "prometheus", "linkerd-viz"} {
		for _, name := range []string{"prometheus", "prometheus-server", "prometheus-operated"} {
			raw, err := bodyOf(c.rest.Get().AbsPath("/api/v1/namespaces", ns, "services", name).Do(ctx))
			if err != nil {
				continue
			}
			var o unstructured.Unstructured
			if o.UnmarshalJSON(raw) == nil {
				if s, ok := prometheusService(&o); ok {
					return s, nil
				}
			}
		}
	}
	if ctx.Err() != nil {
		return Service{}, fmt.Errorf("looking for Prometheus: %w", ctx.Err())
	}
	return Service{}, &NoPrometheusError{Server: c.Server(), Rights: rights}
}

// prometheusService picks the port on which a Service answers queries: the first that is named like HTTP or is one of
// the customary numbers, else the only one.
func prometheusService(o *unstructured.Unstructured) (Service, bool) {
	ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
	s := Service{Namespace: o.GetNamespace(), Name: o.GetName(), Scheme: "http"}
	for _, p := range ports {
		port, ok := p.(map[string]any)
		if !ok {
			continue
		}
		name, _ := port["name"].(string)
		number, _ := port["port"].(int64)
		if strings.HasPrefix(name, "http") || name == "web" || number == 9090 || number == 80 || len(ports) == 1 {
			s.Port = strconv.FormatInt(number, 10)
			if strings.HasPrefix(name, "https") || number == 443 {
				s.Scheme = "https"
			}
			return s, true
		}
	}
	return s, false
}
