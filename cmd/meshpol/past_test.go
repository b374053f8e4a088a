package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// promWithoutPast is a Prometheus that answers questions about now and refuses range queries.
func promWithoutPast(t *testing.T, status int, body string) (address string, ranges *atomic.Int32) {
	t.Helper()
	ranges = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		q, kind, result := r.FormValue("query"), "vector", ""
		switch {
		case strings.HasSuffix(r.URL.Path, "/query_range"):
			ranges.Add(1)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		case q == "vector(time())":
			result = fmt.Sprintf(`{"metric":{},"value":[0,"%d"]}`, time.Now().Unix())
		case strings.HasPrefix(q, "count by"):
			result = `{"metric":{"namespace":"shop","pod":"web-a"},"value":[0,"1"]}`
		case strings.HasSuffix(q, "]"):
			kind = "matrix"
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":[%s]}}`, kind, result)
	}))
	t.Cleanup(s.Close)
	return s.URL, ranges
}

// TestAPrometheusWithoutRangeQueries, by its rights, by a proxy in front of it or by its limits, costs the time before and
// nothing else: it is said once, however many targets there are.
func TestAPrometheusWithoutRangeQueries(t *testing.T) {
	w := newWorld(t)
	files := []string{"-f", w.timeout("cart-timeout", "cart", "2s"), "-f", w.timeout("web-timeout", "web", "2s")}
	for status, c := range map[int]struct{ body, want string }{
		403: {"no", "(403)"},
		404: {"404 page not found", "404"},
		422: {`{"status":"error","errorType":"execution","error":"the query is too long ago"}`, "the query is too long ago"},
	} {
		address, _ := promWithoutPast(t, status, c.body)
		for _, command := range []string{"plan", "rollout"} {
			args := append([]string{command, "--prometheus", address}, files...)
			if command == "rollout" {
				args = append(args, "--dry-run=server")
			}
			r := w.meshpol(exitOK, args...)
			if n := strings.Count(r.err.String(), "did before is not known, going on without it"); n != 1 || !strings.Contains(r.err.String(), c.want) {
				t.Errorf("%s, %d: said %d times: %s", command, status, n, r.err.String())
			}
		}
	}
}

// TestARehearsalOfEverythingAtOnceReadsNoPast: it judges nothing.
func TestARehearsalOfEverythingAtOnceReadsNoPast(t *testing.T) {
	w := newWorld(t)
	address, ranges := promWithoutPast(t, 403, "no")
	r := w.meshpol(exitOK, "apply", "-f", w.timeout("cart-timeout", "cart", "2s"), "--prometheus", address, "--dry-run=server")
	if n := ranges.Load(); n != 0 || strings.Contains(r.err.String(), "before") {
		t.Errorf("%d range queries: %s", n, r.err.String())
	}
}
