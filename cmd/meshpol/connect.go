package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/metrics/prometheus"
)

// connect prepares the cluster's client; nothing is read yet.
func (a *app) connect() (*session, error) {
	config, err := a.restConfig()
	if err != nil {
		return nil, err
	}
	name := *a.kube.Context
	if raw, err := a.kube.ToRawKubeConfigLoader().RawConfig(); err == nil && name == "" {
		name = raw.CurrentContext
	}
	warnings := &once{seen: map[string]bool{}, to: func(text string) { a.warn("the API server warns: %s", text) }}
	c, err := kube.New(config, kube.Options{
		Name: name, QPS: a.qps, Burst: a.burst, Timeout: config.Timeout, Version: buildOf(debug.ReadBuildInfo()).Version, Warn: warnings.say,
	})
	if err != nil {
		return nil, err
	}
	ns, err := a.namespace()
	if err != nil {
		return nil, err
	}
	return &session{app: a, cluster: c, namespace: ns}, nil
}

func (a *app) restConfig() (*rest.Config, error) {
	if err := a.someCluster(); err != nil {
		return nil, err
	}
	config, err := a.kube.ToRESTConfig()
	if err != nil {
		return nil, kube.ExplainConfig(err)
	}
	return config, nil
}

// someCluster refuses to fall back on an unnamed cluster of this machine, as kubectl does.
func (a *app) someCluster() error {
	raw, err := a.kube.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return kube.ExplainConfig(err)
	}
	_, inCluster := a.env("KUBERNETES_SERVICE_HOST")
	if len(raw.Clusters) == 0 && *a.kube.APIServer == "" && !inCluster {
		if named, _ := a.env("KUBECONFIG"); named != "" && *a.kube.KubeConfig == "" {
			return &kube.ConfigError{Err: fmt.Errorf("KUBECONFIG is %s, and no cluster is described there", named), Next: "name the right file with --kubeconfig or KUBECONFIG"}
		}
		return &kube.ConfigError{Err: errors.New("there is none"), Next: "name one with --kubeconfig or KUBECONFIG, or log in to the cluster"}
	}
	return nil
}

// namespace is the one of -n, of the context, or default.
func (a *app) namespace() (string, error) {
	ns, _, err := a.kube.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", kube.ExplainConfig(err)
	}
	return ns, nil
}

// source is a metrics source with the time between two of its samples.
type source struct {
	metrics.Provider
	scrape time.Duration
}

// sourceName is what verdicts call a metrics source; empty for the proxies, whose errors name them.
func sourceName(m metrics.Provider) string {
	if p, ok := m.(interface{ Address() string }); ok {
		return "Prometheus at " + p.Address()
	}
	return ""
}

// proxies reads the sidecars directly. They are as fresh as the question, so that only the tick bounds how old data is.
func (s *session) proxies(tick time.Duration) source {
	return source{Provider: s.readProxies(prometheus.JudgeSample()), scrape: tick}
}

// meter opens the metrics source: the given address, or what is found in the cluster. One that scrapes no proxy is an
// error, since nothing could be judged by it.
func (s *session) meter(ctx context.Context) (source, error) {
	p := s.app.prometheus
	if p.scrape == scrapeProxies {
		return s.proxies(time.Second), nil
	}
	headers, err := headerMap(p.headers)
	if err != nil {
		return source{}, err
	}
	opts := prometheus.Options{URL: p.url, BearerTokenFile: p.tokenFile, CAFile: p.caFile, CertFile: p.certFile, KeyFile: p.keyFile, InsecureSkipVerify: p.insecure, Headers: headers}
	if p.url == "" {
		if opts.URL, opts.Transport, err = s.findPrometheus(ctx); err != nil {
			return source{}, err
		}
	}
	provider, err := prometheus.New(opts)
	if err != nil {
		return source{}, err
	}
	d, err := provider.Detect(ctx, time.Now(), prometheus.AnyEnvoy)
	if err != nil {
		return source{}, err
	}
	return source{Provider: provider, scrape: d.Scrape}, usable(d, opts.URL)
}

// mostSkew is how far apart the clocks of this machine and of Prometheus may be. Samples are sorted into steps by their
// times, and a step's Pass must not rest on the step before.
const mostSkew = 5 * time.Second

// usable says why nothing can be judged by what was found at an address.
func usable(d prometheus.Detection, address string) error {
	switch {
	case d.Skew > mostSkew, d.Skew < -mostSkew:
		where := "ahead of"
		if d.Skew < 0 {
			where = "behind"
		}
		off := d.Skew.Abs().Round(time.Second).String()
		if d.Skew.Abs() > 365*24*time.Hour {
			off = "years"
		}
		return fmt.Errorf("the clock of Prometheus at %s is %s %s this machine's: its samples could not be told apart by step; set the clocks right (NTP)", address, off, where)
	case d.Pods == 0:
		return fmt.Errorf("Prometheus at %s has no statistics of any Envoy: it must scrape port 15090 of the sidecars", address)
	default:
		return nil
	}
}

// findPrometheus looks for Prometheus in the cluster; the address only names it, the API server is what is reached.
func (s *session) findPrometheus(ctx context.Context) (string, http.RoundTripper, error) {
	found, err := s.cluster.FindPrometheus(ctx)
	if err != nil {
		return "", nil, err
	}
	transport, err := s.cluster.ServiceProxyTransport(found)
	return "http://" + found.Name + "." + found.Namespace, transport, err
}
