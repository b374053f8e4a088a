package prometheus

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// pastServer answers range queries: two halves of pods, two ticks; the second half has the errors.
func pastServer(t *testing.T, durations func(http.ResponseWriter)) *Provider {
	t.Helper()
	series := func(labels, a, b string) string {
		return fmt.Sprintf(`{"metric":{%s},"values":[[60,%q],[120,%q]]}`, labels, a, b)
	}
	matrix := func(w http.ResponseWriter, all ...string) {
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(all, ","))
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		q := r.FormValue("query")
		switch {
		case !strings.HasSuffix(r.URL.Path, "/query_range"):
			t.Errorf("asked %s", r.URL.Path)
		case strings.Contains(q, "duration"):
			durations(w)
		case strings.Contains(q, "response_code=~"):
			for _, part := range []string{`response_code=~"5..|0"`, `response_code!~"5..|0",grpc_response_status=~"2|4|8|13|14"`, "[1m15s])*0.8"} {
				if !strings.Contains(q, part) {
					t.Errorf("the query for bad requests lacks %s: %s", part, q)
				}
			}
			matrix(w, series(`"meshpol_half":"b"`, "3", "NaN"))
		default:
			matrix(w, series(``, "100", "110"), series(`"meshpol_half":"b"`, "90", "95"))
		}
	}))
	t.Cleanup(s.Close)
	return open(t, s.URL, nil)
}

func bucketAnswer(w http.ResponseWriter) {
	one := func(le, half, n string) string {
		return fmt.Sprintf(`{"metric":{"le":%q,"meshpol_half":%q},"values":[[120,%q]]}`, le, half, n)
	}
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`,
		strings.Join([]string{one("+Inf", "", "110"), one("100", "", "100"), one("25", "", "40"), one("+Inf", "b", "95"), one("100", "b", "95.2"),
			one("NaN", "", "7"), one("-Inf", "b", "7"), one("much", "", "7")}, ","))
}

func pastQuery() metrics.PastQuery {
	return metrics.PastQuery{Requests: `{__name__="istio_requests_total"}`, Durations: `{__name__="istio_request_duration_milliseconds_bucket"}`}
}

func TestHistory(t *testing.T) {
	p := pastServer(t, bucketAnswer)
	h, err := p.History(t.Context(), pastQuery(), at(125), 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Ticks) != 2 || h.Ticks[0][0].Requests != 100 || h.Ticks[1][1].Requests != 95 || h.Ticks[0][1].Errors != 3 || h.Ticks[1][1].Errors != 0 {
		t.Errorf("ticks %+v", h.Ticks)
	}
	second := h.Ticks[1]
	if fmt.Sprint(h.Bounds) != "[25 100]" || second[0].Timed != 110 || fmt.Sprint(second[0].Slow) != "[70 10]" || fmt.Sprint(second[1].Slow) != "[95 0]" {
		t.Errorf("bounds %v, durations %+v", h.Bounds, second)
	}
	if b := h.Baseline(); b.Requests != 395 || b.Errors != 3 || b.Clumping != 3 || math.Abs(h.RecentRate()-395.0/120) > 1e-9 {
		t.Errorf("baseline %+v, %g requests/s", b, h.RecentRate())
	}
}

// Durations that Prometheus cannot give, since they are too many, cost only themselves.
func TestHistoryWithoutDurations(t *testing.T) {
	p := pastServer(t, func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"execution","error":"query processing would load too many samples"}`))
	})
	warned := ""
	p.options.OnWarning = func(s string) { warned = s }
	h, err := p.History(t.Context(), pastQuery(), at(125), 2*time.Minute)
	if err != nil || h.Empty() || len(h.Bounds) != 0 || !strings.Contains(warned, "too many samples") {
		t.Errorf("%v, %+v, warned %q", err, h, warned)
	}
}

func TestHistoryOfNothing(t *testing.T) {
	s := serve(t, 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	h, err := open(t, s.URL, nil).History(t.Context(), pastQuery(), at(125), time.Hour)
	if err != nil || !h.Empty() || h.RecentRate() != 0 {
		t.Errorf("%v, %+v", err, h)
	}
	h, err = open(t, s.URL, nil).History(t.Context(), metrics.PastQuery{}, at(125), time.Hour)
	if err != nil || !h.Empty() || len(s.queries) != 3 {
		t.Errorf("%v, %+v after %v", err, h, s.queries)
	}
}

// TestPastTick: whatever the scrape interval, a window spans a whole number of scrapes and one more.
func TestPastTick(t *testing.T) {
	for scrape, want := range map[time.Duration]string{
		time.Second: "increase(x[1m1s])", 15 * time.Second: "increase(x[1m15s])*0.8", 25 * time.Second: "increase(x[1m40s])*0.75",
		30 * time.Second: "increase(x[1m30s])", time.Minute: "increase(x[2m])*0.5", 2 * time.Minute: "increase(x[4m])*0.5",
	} {
		if got := increase("x", pastTickOf(scrape), scrape); !strings.HasPrefix(got, want) {
			t.Errorf("scrapes of %s: %s, want %s", scrape, got, want)
		}
	}
}

// TestHistoryExceptRollouts: what an earlier rollout did is not what is usual.
func TestHistoryExceptRollouts(t *testing.T) {
	q := pastQuery()
	for _, c := range []struct {
		from, to float64
		want     float64 // requests of the first half in the first tick that is left; 0: none is
	}{{30, 61, 0}, {0, 60, 110}, {1, 2, 110}, {60, 61, 100}, {119, 300, 100}, {120, 300, 100}, {121, 300, 100}} {
		q.Except = []metrics.Span{{From: at(c.from), To: at(c.to)}}
		h, err := pastServer(t, bucketAnswer).History(t.Context(), q, at(125), 2*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		if len(h.Ticks) > 0 {
			got = h.Ticks[0][0].Requests
		}
		if h.RecentRate() != 395.0/120 {
			t.Errorf("%g requests/s", h.RecentRate())
		}
		if got != c.want {
			t.Errorf("without %g to %g s the first tick has %g requests, want %g", c.from, c.to, got, c.want)
		}
	}
}

// A gap in the recording is a gap in the history, not an earlier time that is taken for a later one.
func TestHistoryWithAGap(t *testing.T) {
	p := pastServer(t, bucketAnswer)
	h, err := p.History(t.Context(), pastQuery(), at(125), 2*time.Minute)
	if err != nil || len(h.Ages) != len(h.Ticks) {
		t.Fatalf("%v, ages %v of %d ticks", err, h.Ages, len(h.Ticks))
	}
	if h.Ages[0]-h.Ages[1] != 1 {
		t.Errorf("ages %v", h.Ages)
	}
}
