package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	ask := l.Prometheus + "/api/v1/query?query=" + url.QueryEscape(`count(count by (namespace, pod) (envoy_server_uptime))`)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Data.Result) == 0 {
		return 0, err
	}
	n := 0
	_, err = fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &n)
	return n, err
}
