package istiostats

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Page serves the proxy's own statistics followed by the counters here, as one page of an Envoy that has Istio's
// filter. It answers only when the proxy does. The filter of a question holds for both parts.
func (p *Proxy) Page(envoy http.RoundTripper, own *url.URL) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		filter, err := regexp.Compile(r.URL.Query().Get("filter"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		resp, err := ask(r, envoy, own)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			panic(http.ErrAbortHandler) // half a page must not look like a whole one
		}
		if resp.StatusCode == http.StatusOK && r.URL.Path == "/stats/prometheus" {
			_ = p.write(w, filter) // the reader has gone
		}
	})
}

// ask hands a question on to the proxy, in the one format that can be added to.
func ask(r *http.Request, envoy http.RoundTripper, own *url.URL) (*http.Response, error) {
	target := *own
	target.Path, target.RawQuery = r.URL.Path, r.URL.RawQuery
	req, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain")
	resp, err := envoy.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("asking the proxy for its statistics: %w", err)
	}
	return resp, nil
}

// write adds the metrics whose name in Envoy the filter would let through.
func (p *Proxy) write(w io.Writer, filter *regexp.Regexp) error {
	families, err := prometheus.Gatherers{p.registry}.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		var kept []*dto.Metric
		for _, m := range family.GetMetric() {
			if filter.MatchString(rawName(family.GetName(), m)) {
				kept = append(kept, m)
			}
		}
		family.Metric = kept
		if len(kept) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

// rawName is a metric's name in Envoy, labels included: what a filter is compared with.
func rawName(name string, m *dto.Metric) string {
	parts := []string{namespace, name}
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" {
			parts = append(parts, l.GetName(), l.GetValue())
		}
	}
	return strings.Join(parts, ".")
}
