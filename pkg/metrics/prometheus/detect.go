package prometheus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// AnyEnvoy selects one small statistic that every Istio proxy exports, whatever its traffic.
const AnyEnvoy = `{__name__="envoy_server_uptime"}`

// detectWindow is the past in which Detect looks for samples: enough for three scrapes of a slow Prometheus.
const detectWindow = 5 * time.Minute

// Detection is what Detect found out.
type Detection struct {
	// Pods is the number of scraped pods that have the series.
	Pods int
	// Scrape is the usual time between two samples; 0 where there are fewer than two.
	Scrape time.Duration
	// Newest is the time of the newest sample looked at; zero where there is none.
	Newest time.Time
	// Skew is how far Prometheus' clock is ahead of ours. A large one makes fresh samples look old or future.
	Skew time.Duration
}

// Age is how old the newest sample is by Prometheus' own clock.
func (d Detection) Age(now time.Time) time.Duration { return now.Add(d.Skew).Sub(d.Newest) }

// Detect asks whether Prometheus is there, whether it scrapes any proxy (AnyEnvoy, or another selector), how often, and
// how fresh its samples are. No proxy is no error: Pods is 0.
func (p *Provider) Detect(ctx context.Context, now time.Time, selector string) (Detection, error) {
	asked := time.Now()
	clock, err := p.vector(ctx, "vector(time())", time.Time{})
	if err != nil {
		return Detection{}, err
	}
	var d Detection
	if len(clock) == 1 {
		d.Skew = skew(time.UnixMilli(int64(clock[0].Value*1000)), now, now.Add(time.Since(asked)))
	}
	pods, err := p.vector(ctx, fmt.Sprintf("count by (%s) (%s)", podNames, selector), time.Time{})
	if err != nil || len(pods) == 0 {
		return d, err
	}
	d.Pods = countPods(pods)
	p.sampling.learn(pods[0].Metric)
	return p.sampleSpacing(ctx, d, selector, pods)
}

// Standard asks how many pods have series of a selector in the last minutes, and whether a label of theirs has a value.
func (p *Provider) Standard(ctx context.Context, selector, label string) (pods int, labelled bool, err error) {
	found, err := p.vector(ctx, fmt.Sprintf("count by (%s, %s) (%s)", label, podNames, selector), time.Time{})
	for _, s := range found {
		if v := s.Metric[model.LabelName(label)]; v != "" && v != "unknown" {
			labelled = true
		}
	}
	return countPods(found), labelled, err
}

// podNames are the labels by which podOf tells pods apart.
const podNames = "namespace, pod, pod_name, kubernetes_namespace, kubernetes_pod_name, exported_namespace, exported_pod, instance"

// skew is how far a clock that was read between two moments is outside of them: an answer that took long is no wrong clock.
func skew(clock, asked, answered time.Time) time.Duration {
	switch {
	case clock.Before(asked):
		return clock.Sub(asked).Round(time.Second)
	case clock.After(answered):
		return clock.Sub(answered).Round(time.Second)
	default:
		return 0
	}
}

func countPods(v model.Vector) int {
	seen := map[string]bool{}
	for _, s := range v {
		seen[podOf(s.Metric)] = true
	}
	return len(seen)
}

// sampleSpacing looks at the raw samples of a few targets.
func (p *Provider) sampleSpacing(ctx context.Context, d Detection, selector string, pods model.Vector) (Detection, error) {
	sample := pods[:min(5, len(pods))]
	instances := make([]string, 0, len(sample))
	for _, s := range sample {
		instances = append(instances, strings.ReplaceAll(regexpQuote(string(s.Metric["instance"])), `\`, `\\`))
	}
	narrowed := fmt.Sprintf(`%s,instance=~"%s"}`, strings.TrimSuffix(strings.TrimSpace(selector), "}"), strings.Join(instances, "|"))
	matrix, err := p.matrix(ctx, RangeQuery(narrowed, detectWindow), time.Time{})
	if err != nil {
		return d, err
	}
	var gaps []time.Duration
	for _, raw := range matrix {
		for i, v := range raw.Values {
			if at := v.Timestamp.Time().UTC(); at.After(d.Newest) {
				d.Newest = at
			}
			if i > 0 {
				gaps = append(gaps, time.Duration(v.Timestamp-raw.Values[i-1].Timestamp)*time.Millisecond)
			}
		}
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		d.Scrape = gaps[len(gaps)/2].Round(time.Second / 10)
	}
	return d, nil
}

// regexpQuote escapes an address for a regular expression of Prometheus.
func regexpQuote(s string) string {
	return strings.NewReplacer(".", `\.`, "[", `\[`, "]", `\]`, "+", `\+`).Replace(s)
}
