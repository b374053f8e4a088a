package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AwaitMetrics waits until Prometheus has scraped every sidecar once: a lab that has just come up has no statistics yet.
func (l *Lab) AwaitMetrics(ctx context.Context) error {
	want := 0
	for _, p := range l.Status.Pods {
		for _, c := range p.Containers {
			if c.Name == "istio-proxy" {
				want++
			}
		}
	}
	err := Eventually(ctx, time.Minute, func() (bool, error) {
		n, err := l.scraped(ctx)
		return n >= want, err
	})
	if err != nil {
		return fmt.Errorf("waiting for Prometheus to scrape %d sidecars: %w", want, err)
	}
	return nil
}

// scraped counts the pods of which Prometheus has a proxy's statistics.
func (l *Lab) scraped(ctx context.Context) (int, error) {
	samples, err := l.Query(ctx, `count(count by (namespace, pod) (envoy_server_uptime))`)
	if err != nil || len(samples) == 0 {
		return 0, err
	}
	return int(samples[0].Value), nil
}

// Sample is one value that Prometheus answers with.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks Prometheus for the value of an expression at this moment.
func (l *Lab) Query(ctx context.Context, expression string) ([]Sample, error) {
	ask := l.Prometheus + "/api/v1/query?query=" + url.QueryEscape(expression)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("reading Prometheus' answer to %s: %w", expression, err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("asking Prometheus for %s: %s", expression, answer.Error)
	}
	var out []Sample
	for _, r := range answer.Data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, fmt.Errorf("reading Prometheus' answer to %s: %w", expression, err)
		}
		out = append(out, Sample{Labels: r.Metric, Value: value})
	}
	return out, nil
}
