package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// prometheusFlags say where the metrics are and how to get in.
type prometheusFlags struct {
	url, tokenFile, caFile string
	certFile, keyFile      string
	headers                []string
	insecure               bool
	// scrape is where counters come from: prometheus, or proxies, which are then read directly.
	scrape string
}

// The sources that --scrape names.
const (
	scrapePrometheus = "prometheus"
	scrapeProxies    = "proxies"
)

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	a.kube.CacheDir, a.kube.DisableCompression = nil, nil // nothing here would use them
	a.kube.AddFlags(f)
	f.Lookup("request-timeout").Usage = "longest time of one request to the API server (default 20s)"
	f.Lookup("request-timeout").DefValue = ""
	f.Lookup("namespace").Usage = "namespace of the rollouts, and of policies that name none (default: the kubeconfig context's)"
	f.StringVar(&a.prometheus.url, "prometheus", "", "address of Prometheus (default: found in the cluster, and reached through the API server)")
	f.StringVar(&a.prometheus.tokenFile, "prometheus-token-file", "", "file with a bearer token for Prometheus")
	f.StringVar(&a.prometheus.caFile, "prometheus-ca-file", "", "file with the certificate authority of Prometheus")
	f.StringVar(&a.prometheus.certFile, "prometheus-cert-file", "", "file with our certificate for Prometheus, where it wants one")
	f.StringVar(&a.prometheus.keyFile, "prometheus-key-file", "", "file with the key of --prometheus-cert-file")
	f.BoolVar(&a.prometheus.insecure, "prometheus-insecure", false, "do not verify the certificate of Prometheus")
	f.StringSliceVar(&a.prometheus.headers, "prometheus-header", nil, "header for Prometheus, NAME=VALUE (X-Scope-OrgID=team); repeatable")
	f.StringVar(&a.prometheus.scrape, "scrape", scrapePrometheus, "where counters are read: prometheus, or proxies: from the sidecars directly, through the API server")
	f.StringVarP(&a.output, "output", "o", "", "output format: text, json, yaml, or jsonl for events as JSON lines (default text)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "only what needs attention on standard error")
	f.BoolVar(&a.noColor, "no-color", false, "no colours (also: NO_COLOR)")
	f.StringVar(&a.config, "config", "", "configuration file (default: meshpol/config.yaml in the user's configuration directory)")
	f.Float32Var(&a.qps, "qps", 50, "requests per second to the API server")
	f.IntVar(&a.burst, "burst", 100, "burst of requests to the API server")
	completeValues(root, "scrape", scrapePrometheus, scrapeProxies)
	completeValues(root, "output", "text", "json", "yaml", "jsonl")
	completeWith(root, "context", a.completeContexts)
}

// checkGlobals judges what all commands share.
func (a *app) checkGlobals() error {
	if a.qps <= 0 || a.burst <= 0 {
		return usage("--qps %g, --burst %d: both must be above 0", a.qps, a.burst)
	}
	if s := a.prometheus.scrape; s != scrapePrometheus && s != scrapeProxies {
		return usage("--scrape %q: use %s or %s", s, scrapePrometheus, scrapeProxies)
	}
	_, err := headerMap(a.prometheus.headers)
	return err
}

// headerMap reads NAME=VALUE pairs. The value is not repeated: it may be a credential.
func headerMap(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--prometheus-header: write NAME=VALUE, such as X-Scope-OrgID=team")
		}
		out[name] = value
	}
	return out, nil
}
