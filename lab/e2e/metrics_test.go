//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestNoPrometheus: without anything to judge by nothing is written.
func TestNoPrometheus(t *testing.T) {
	s := newScene(t, 0, nil)
	file := s.timeout("cart")
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1/status/buildinfo":
			fmt.Fprint(w, `{"status":"success","data":{"version":"3.0.0"}}`)
		case "/api/v1/query", "/api/v1/query_range":
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		default:
			fmt.Fprint(w, `{"status":"success","data":[]}`)
		}
	}))
	t.Cleanup(silent.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }))
	t.Cleanup(other.Close)
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(closed.Close)
	for address, text := range map[string]string{
		"http://127.0.0.1:1":          "cannot be reached",
		"http://no.such.host.invalid": "cannot be reached",
		"127.0.0.1:9090":              "http://",
		silent.URL:                    "has no statistics of any Envoy: it must scrape port 15090 of the sidecars",
		other.URL:                     "is not Prometheus",
		closed.URL:                    "credentials",
	} {
		for _, command := range []string{"rollout", "apply"} {
			r := s.plain(*s.lab, 6, command, "-f", file, "--prometheus", address)
			s.says(r, "nothing to judge by: ")
			s.says(r, text)
			s.says(r, "--no-analysis")
		}
	}
	s.nothingWritten()
}

// TestPrometheusDies: no data is never a pass.
func TestPrometheusDies(t *testing.T) {
	each(t, map[string]string{"in step 0": "step 0", "at 10 %": "10 %", "in the fold": "fold"}, func(t *testing.T, step string) {
		s := newScene(t, 100, userCart)
		r := s.begin(short("rollout", "--step0-max", "8s", "--step0-min", "4s", "--fold-watch", "2s", "-f", s.timeout("cart"))...)
		s.until(r, begun(step))
		s.stop("prometheus")
		s.ends(r, 6)
		s.untouched()
		s.noErrors(s.records())
		s.says(r, "nothing to judge by")
		s.says(r, "readings in a row failed: Prometheus at ")
		s.phase("cart-timeout", "RolledBack")
	})
}

// TestPrometheusRestarts: a short outage is waited for. What stands between meshpol and Prometheus closes every
// connection meanwhile.
func TestPrometheusRestarts(t *testing.T) {
	s := newScene(t, 100, nil)
	target, err := url.Parse(s.lab.Prometheus)
	s.must(err)
	var away atomic.Bool
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	r := s.begin(short("rollout", "--step-max", "20s", "--prometheus", proxy.URL, "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	away.Store(true)
	s.until(r, func(e trial.Event) bool {
		return judged("10 %")(e) && strings.Contains(reason(e), "readings in a row failed")
	})
	away.Store(false)
	s.ends(r, 0)
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"20s"}`)}, s.objects())
	s.noErrors(s.records())
}

// begun is the moment in which a step is in force and nothing of it was judged yet.
func begun(step string) moment {
	kind := "VirtualService of " + step
	return func(e trial.Event) bool { return e.Event == "proved" && e.Text("why") == kind }
}

func reason(e trial.Event) string {
	j, _ := e.Fields["judgement"].(map[string]any)
	text, _ := j["reason"].(string)
	return text
}
