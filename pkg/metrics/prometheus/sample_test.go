package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// manyPods answers as Prometheus does for the route statistics of n pods: both sides, two codes, 20 buckets, 5 samples.
func manyPods(n int, match *regexp.Regexp) string {
	const vhost = "envoy_vhost_user_service_shop_svc_cluster_local_80_route_mp_1a2b3c4d_"
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	comma := ""
	one := func(pod int, name, labels string) {
		fmt.Fprintf(&b, `%s{"metric":{"__name__":%q,"app":"web","instance":"10.244.%d.%d:15090","job":"istio","namespace":"shop","pod":"%s"%s},"values":[`,
			comma, name, pod/250, pod%250, podName(pod), labels)
		comma = ","
		for i := range 5 {
			fmt.Fprintf(&b, `%s[%d.781,"%d"]`, strings.Repeat(",", min(i, 1)), 1764000000+15*i, 100000+137*i)
		}
		b.WriteString("]}")
	}
	for pod := range n {
		if match != nil && !match.MatchString(podName(pod)) {
			continue
		}
		for _, side := range []string{"new", "old"} {
			for _, code := range []string{"200", "503"} {
				one(pod, vhost+side+"_upstream_rq", fmt.Sprintf(`,"response_code":%q`, code))
			}
			one(pod, vhost+side+"_upstream_rq_total", "")
			for i := range 20 {
				one(pod, vhost+side+"_upstream_rq_time_bucket", fmt.Sprintf(`,"le":"%d"`, 1<<i))
			}
		}
	}
	b.WriteString("]}}")
	return b.String()
}

func podName(i int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	return fmt.Sprintf("web-7d9f8c6b5d-%c%c%c%c%c", letters[i/27/27%27], letters[i/27%27], letters[i%27], letters[i*7%27], letters[i*11%27])
}

// An answer that is too large is asked of a part of the pods, the same each time; by instance all of a small canary.
func TestTooLargeAnswersAreOfFewerPods(t *testing.T) {
	matcher := regexp.MustCompile(`pod=~"([^"]*)"`)
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		var match *regexp.Regexp
		if m := matcher.FindStringSubmatch(r.FormValue("query")); m != nil {
			match = regexp.MustCompile("^(?:" + strings.ReplaceAll(m[1], `\\`, `\`) + ")$")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(manyPods(400, match)))
	}))
	defer s.Close()
	var warnings []string
	p := open(t, s.URL, func(o *Options) {
		o.MaxBytes = 2500 << 10
		o.OnWarning = func(w string) { warnings = append(warnings, w) }
	})
	q := metrics.Query{Selector: `{__name__=~"x"}`}
	if _, err := p.Read(t.Context(), q, at(1764000061), time.Minute); err == nil {
		t.Error("the label of the pods' names is not known, and still they were told apart")
	}
	p.sampling.learn(model.Metric{"namespace": "shop", "pod": "web-1"})
	podsOf := func(q metrics.Query) map[string]bool {
		series, err := p.Read(context.Background(), q, at(1764000061), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, s := range series {
			out[s.Pod] = true
		}
		return out
	}
	first := podsOf(q)
	if len(first) < 60 || len(first) > 140 || len(warnings) != 2 || !strings.Contains(warnings[1], "one in 4") {
		t.Errorf("%d pods after %q", len(first), warnings)
	}
	before := asked
	if again := podsOf(q); len(again) != len(first) || asked != before+1 {
		t.Errorf("%d pods, then %d after %d questions", len(first), len(again), asked-before)
	}
	q.Instances = map[string]metrics.Side{"shop/" + podName(399): metrics.New}
	for i := range 399 {
		q.Instances["shop/"+podName(i)] = metrics.Old
	}
	if pods := podsOf(q); len(pods) != podsByInstance/2+1 || !pods["shop/"+podName(399)] {
		t.Errorf("by instance %d pods, the canary among them: %t", len(pods), pods["shop/"+podName(399)])
	}
}

func BenchmarkRead1000Pods(b *testing.B) {
	answer := []byte(manyPods(1000, nil))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	defer s.Close()
	p, err := New(Options{URL: s.URL})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		series, err := p.Read(context.Background(), metrics.Query{Selector: `{__name__=~"x"}`}, at(1764000061), time.Minute)
		if err != nil || len(series) != 46000 {
			b.Fatal(len(series), err)
		}
	}
	b.ReportMetric(float64(len(answer))/1e6, "MB")
}
