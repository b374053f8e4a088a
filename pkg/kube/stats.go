package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProxyStats reads the statistics of a pod's Envoy ("namespace/pod") in Prometheus' text format, those whose Envoy name
// the regular expression filter matches. It goes through the API server and needs the right to get pods/proxy. The
// caller closes the answer.
func (c *Cluster) ProxyStats(ctx context.Context, pod, filter string) (io.ReadCloser, error) {
	namespace, name, _ := strings.Cut(pod, "/")
	s := podPort{namespace: namespace, name: name}
	transport, err := c.proxyTransport(s.path(), "reading the statistics of pod "+pod)
	if err != nil {
		return nil, err
	}
	target := url.URL{Scheme: "http", Host: "pod", Path: "/stats/prometheus", RawQuery: url.Values{"filter": {filter}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("reading the statistics of pod %s: %w", pod, err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusForbidden {
		return nil, &RightsError{Doing: "reading the statistics of pod " + pod, Verb: "get", Resource: "pods/proxy", Namespace: namespace}
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
	return nil, fmt.Errorf("reading the statistics of pod %s: %s: %s", pod, resp.Status, refusalText(text))
}

// refusalText is the message of a Status of the API server, or the first line of what else answers.
func refusalText(body []byte) string {
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err == nil && status.Message != "" {
		return status.Message
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line
}

// podPort is the statistics port of a pod, as the API server's proxy reaches it.
type podPort struct{ namespace, name string }

func (p podPort) path() string {
	return "/api/v1/namespaces/" + p.namespace + "/pods/" + p.name + ":" + statsPort + "/proxy"
}

// StatsAccess are the rights to read the statistics of the proxies of some namespaces.
func StatsAccess(namespaces []string) []Access {
	var out []Access
	for _, ns := range namespaces {
		out = append(out, Access{Verb: "get", Resource: "pods", Subresource: "proxy", Namespace: ns})
	}
	return out
}
