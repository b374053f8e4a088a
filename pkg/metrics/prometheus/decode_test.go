package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// raw is a series at seconds, values ten times the time.
func raw(labels string, times ...float64) *model.SampleStream {
	m := model.Metric{"__name__": "x", "namespace": "shop", "pod": "web-1", "job": "envoy", "instance": "10.0.0.1:15090"}
	for _, pair := range strings.Fields(labels) {
		name, value, _ := strings.Cut(pair, "=")
		m[model.LabelName(name)] = model.LabelValue(value)
	}
	s := &model.SampleStream{Metric: m}
	for _, at := range times {
		s.Values = append(s.Values, model.SamplePair{Timestamp: model.Time(at * 1000), Value: model.SampleValue(at * 10)})
	}
	return s
}

func TestJoiningTargets(t *testing.T) {
	for name, c := range map[string]struct {
		raws []*model.SampleStream
		want string
	}{
		"a relabelled pod goes on":                 {[]*model.SampleStream{raw("app=b", 45, 60), raw("app=a", 15, 30)}, "[15 30 45 60]"},
		"two jobs are not mixed":                   {[]*model.SampleStream{raw("job=a instance=i:1", 15, 30, 45), raw("job=b instance=i:2", 16, 31, 46)}, "[15 30 45]"},
		"the second job fills a gap":               {[]*model.SampleStream{raw("job=a instance=i:1", 45, 60), raw("job=b instance=i:2", 16, 31, 46, 61, 76)}, "[16 31 45 60 76]"},
		"one sample each, close together":          {[]*model.SampleStream{raw("job=a instance=i:1", 15), raw("job=b instance=i:2", 16)}, "[15]"},
		"counters with an unknown tag stay apart":  {[]*model.SampleStream{raw("path=a", 15, 30), raw("path=b", 15, 30)}, "[15 30] [15 30]"},
		"different codes are different counters":   {[]*model.SampleStream{raw("response_code=200", 15), raw("response_code=503", 15)}, "[15] [15]"},
		"samples out of order are put in order":    {[]*model.SampleStream{raw("", 30, 15)}, "[15 30]"},
		"native histograms have no counter sample": {[]*model.SampleStream{raw("")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range decode(c.raws) {
				var times []float64
				for _, x := range s.Samples {
					times = append(times, float64(x.At.Unix()))
				}
				got = append(got, fmt.Sprint(times))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

func TestPodLabels(t *testing.T) {
	for _, c := range []struct {
		m    model.Metric
		want string
	}{
		{model.Metric{"namespace": "a", "pod": "p", "instance": "i"}, "a/p"},
		{model.Metric{"kubernetes_namespace": "a", "kubernetes_pod_name": "p"}, "a/p"},
		{model.Metric{"kubernetes_namespace": "a", "pod": "p"}, "a/p"},
		{model.Metric{"namespace": "a", "pod_name": "p"}, "a/p"},
		{model.Metric{"exported_namespace": "a", "exported_pod": "p"}, "a/p"},
		{model.Metric{"namespace": "a", "instance": "i:1"}, "i:1"},
		{model.Metric{}, ""},
	} {
		if got := podOf(c.m); got != c.want {
			t.Errorf("%v: %q", c.m, got)
		}
	}
}

// detectServer answers as a Prometheus with three proxies, scraped every 15 s.
func detectServer(t *testing.T, pods int, skew time.Duration, now time.Time, fail string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		sample := func(i int, v string) string {
			return fmt.Sprintf(`{"metric":{"namespace":"shop","pod":"web-%d","instance":"10.0.0.%d:15090"},%s}`, i, i, v)
		}
		var rows []string
		kind := "vector"
		switch {
		case fail != "" && strings.Contains(query, fail):
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.Contains(query, "time()"):
			rows = append(rows, fmt.Sprintf(`{"metric":{},"value":[0,"%d"]}`, now.Add(skew).Unix()))
		case strings.HasPrefix(query, "count by"):
			for i := range pods {
				rows = append(rows, sample(i, `"value":[0,"1"]`))
			}
		default:
			kind = "matrix"
			if want := `,instance=~"10\\.0\\.0\\.0:15090|10\\.0\\.0\\.1:15090|10\\.0\\.0\\.2:15090"}[5m]`; !strings.HasSuffix(query, want) {
				t.Error("asked", query)
			}
			last := float64(now.Add(skew).Unix() - 9)
			rows = append(rows, sample(0, fmt.Sprintf(`"values":[[%f,"1"],[%f,"2"],[%f,"3"]]`, last-30, last-15, last)))
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"%s","result":[%s]}}`, kind, strings.Join(rows, ","))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestDetect(t *testing.T) {
	now := time.Unix(1772366400, 0).UTC()
	d, err := open(t, detectServer(t, 3, time.Minute, now, "").URL, nil).Detect(context.Background(), now, AnyEnvoy)
	if err != nil {
		t.Fatal(err)
	}
	want := Detection{Pods: 3, Scrape: 15 * time.Second, Newest: now.Add(51 * time.Second), Skew: time.Minute}
	if d != want || d.Age(now) != 9*time.Second {
		t.Errorf("%+v, age %s", d, d.Age(now))
	}
	if d, err = open(t, detectServer(t, 0, 0, now, "").URL, nil).Detect(context.Background(), now, AnyEnvoy); err != nil || d.Pods != 0 {
		t.Error("no proxy:", d, err)
	}
	for _, part := range []string{"time()", "count by", "[5m]"} {
		if _, err := open(t, detectServer(t, 3, 0, now, part).URL, nil).Detect(context.Background(), now, AnyEnvoy); err == nil {
			t.Error("no error though", part, "failed")
		}
	}
}

// A lying server: the counters must come through with what was wrong told, not with numbers made of it.
func TestLyingServer(t *testing.T) {
	s := serve(t, 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"new_rq","response_code":"503","namespace":"a","pod":"p"},
		"values":[[100,"5"],[130,"NaN"],[115,"9"],[145,"-4"],[160,"+Inf"],[175,"12"]]}]}}`)
	q := metrics.Query{Selector: "x", Rules: []metrics.SeriesRule{{NameContains: "new_rq", Side: metrics.New, Class: metrics.ClassCode}}}
	series, err := open(t, s.URL, nil).Read(context.Background(), q, at(180), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_, tick := metrics.NewCounters(q).Step(series, at(110), at(180))
	if got := tick.Total(metrics.New).Errors; got != 7 || len(tick.Problems) != 3 {
		t.Errorf("%v errors, problems %v", got, tick.Problems)
	}
}

// Whatever stands in an answer, decoding ends in series that are in order and belong to a pod, or in an error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"metric":{"__name__":"x","pod":"p","namespace":"n"},"values":[[1,"2"],[1,"3"],[0,"NaN"]]},{"metric":{"__name__":"x","pod":"p","namespace":"n","app":"b"},"values":[[7,"2"]]}]`))
	f.Add([]byte(`[{"metric":{},"values":[[1e300,"2"]]},null,{"metric":null,"values":null}]`))
	f.Add([]byte(`[{"metric":{"le":"+Inf"},"values":[[-5,"-Inf"]],"histograms":[[1,{"count":"1","sum":"2","buckets":[]}]]}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var matrix model.Matrix
		if json.Unmarshal(body, &matrix) != nil {
			return
		}
		for _, s := range decode(matrix) {
			for i, x := range s.Samples {
				if i > 0 && x.At.Before(s.Samples[i-1].At) {
					t.Fatalf("out of order: %v", s)
				}
			}
		}
	})
}

func TestSkew(t *testing.T) {
	asked := time.Unix(1772366400, 0)
	answered := asked.Add(4 * time.Second)
	for clock, want := range map[time.Duration]time.Duration{
		-10 * time.Second: -10 * time.Second, 0: 0, 3 * time.Second: 0, 4 * time.Second: 0, 64 * time.Second: time.Minute,
	} {
		if got := skew(asked.Add(clock), asked, answered); got != want {
			t.Errorf("a clock %s after the question, answered after 4 s: %s, want %s", clock, got, want)
		}
	}
}
