package prometheus

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// server answers every question with one body and remembers the questions.
type server struct {
	*httptest.Server
	queries []string
	times   []string
	header  http.Header
	methods []string
}

func serve(t *testing.T, status int, body string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.queries, s.times, s.methods = append(s.queries, r.FormValue("query")), append(s.times, r.FormValue("time")), append(s.methods, r.Method)
		s.header = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, url string, change func(*Options)) *Provider {
	t.Helper()
	o := Options{URL: url, Timeout: 2 * time.Second}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func at(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}

func TestRead(t *testing.T) {
	s := serve(t, 200, file(t, "matrix.json"))
	var warnings []string
	p := open(t, s.URL, func(o *Options) { o.OnWarning = func(w string) { warnings = append(warnings, w) } })
	got, err := p.Read(context.Background(), metrics.Query{Selector: `{__name__=~"x"}`}, at(1772366431.5), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "envoy_vhost_cart_shop_svc_cluster_local_80_route_mp_r9_"
	want := []metrics.Series{
		{Labels: map[string]string{"__name__": prefix + "old_upstream_rq_time_bucket", "le": "+Inf"}, Pod: "10.244.0.13:15090",
			Samples: []metrics.Sample{{At: at(1772366401), Value: 7}}},
		{Labels: map[string]string{"__name__": prefix + "new_upstream_rq", "response_code": "503", "envoy_response_code": "503"}, Pod: "shop/web-1",
			Samples: []metrics.Sample{{At: at(1772366400.123), Value: 3}, {At: at(1772366415.123), Value: 19}}},
		{Labels: map[string]string{"__name__": prefix + "old_upstream_rq", "response_code": "200"}, Pod: "shop/web-1",
			Samples: []metrics.Sample{{At: at(1772366400.123), Value: 1000}, {At: at(1772366415.123), Value: 1300}, {At: at(1772366430.123), Value: 1650}}},
		{Labels: map[string]string{"__name__": prefix + "old_upstream_rq_time_bucket", "le": "0.5"}, Pod: "shop/web-2",
			Samples: []metrics.Sample{{At: at(1772366401), Value: 0}, {At: at(1772366416), Value: 2}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if len(s.queries) != 1 || s.queries[0] != `{__name__=~"x"}[1m]` || s.times[0] != "1772366431.5" {
		t.Error("asked", s.queries, s.times)
	}
	if !reflect.DeepEqual(warnings, []string{"one store is missing"}) {
		t.Error("warnings", warnings)
	}
}

// Answers recorded from a Prometheus 3.16 that scraped two endpoints with Envoy's route statistics every 2 s.
func TestRecordedAnswer(t *testing.T) {
	s := serve(t, 200, file(t, "prometheus-matrix.json"))
	q := metrics.Query{Selector: `{__name__=~"envoy_vhost_.+_route_mp_r9_(new|old)_upstream_rq.*"}`, Rules: []metrics.SeriesRule{
		{NameContains: "_new_upstream_rq_time", Side: metrics.New, Class: metrics.ClassDuration},
		{NameContains: "_new_upstream_rq", Side: metrics.New, Class: metrics.ClassCode},
		{NameContains: "_old_upstream_rq", Side: metrics.Old, Class: metrics.ClassCode},
	}}
	series, err := open(t, s.URL, nil).Read(context.Background(), q, time.Now(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	newest := time.Time{}
	for _, x := range series {
		if last := x.Samples[len(x.Samples)-1].At; last.After(newest) {
			newest = last
		}
	}
	_, tick := metrics.NewCounters(q).Step(series, newest.Add(-5*time.Second), newest)
	n, o := tick.Total(metrics.New), tick.Total(metrics.Old)
	if len(series) != 17 || len(tick.Pods) != 2 || n.Requests != 112 || n.Errors != 42 || o.Requests != 1400 || n.Slow[0.5] != 70 || len(tick.Problems) != 0 {
		t.Errorf("%d series, pods %v, problems %v", len(series), tick.Pods, tick.Problems)
	}
	if got := metrics.CallersOf(series); !reflect.DeepEqual(got, []string{"shop/web-1", "shop/web-2"}) {
		t.Error(got)
	}
}

func TestEmptyAnswerIsNoError(t *testing.T) {
	s := serve(t, 200, file(t, "prometheus-empty.json"))
	got, err := open(t, s.URL, nil).Read(context.Background(), metrics.Query{Selector: "x"}, at(1), time.Minute)
	if err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	if _, err := open(t, s.URL, nil).Read(context.Background(), metrics.Query{Selector: "x"}, at(1), 0); err == nil {
		t.Error("a window of nothing was asked")
	}
}

func TestErrorsAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   Kind
		words  string
		retry  bool
	}{
		{"credentials are missing", 401, "no", NoCredentials, "give a bearer token", false},
		{"credentials are refused", 403, "RBAC: access denied", Forbidden, "RBAC: access denied", false},
		{"bad query", 400, "", BadQuery, "parse error: unexpected character", false},
		{"too many samples", 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`, BadQuery, "too many samples", false},
		{"Prometheus gave up", 503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, Server, "503", true},
		{"its own timeout", 400, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`, Server, "timed out", true},
		{"broken gateway", 502, "<html>\nBad Gateway</html>", Server, "502: <html>", true},
		{"nothing behind the service", 503, `{"kind":"Status","apiVersion":"v1","message":"no endpoints available for service \"prometheus\"","code":503}`, Server, `503: no endpoints available for service "prometheus"`, true},
		{"too many questions", 429, "slow down", Server, "could not answer: client error: 429: slow down", true},
		{"some web site", 200, "<html>hello</html>", BadAnswer, "is not Prometheus", false},
		{"not found", 404, strings.Repeat("x", 500), BadAnswer, "…", false},
		{"a vector", 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, BadAnswer, "vector instead of a matrix", false},
		{"nothing", 200, `{}`, BadAnswer, "nothing instead of a matrix", false},
		{"half an answer", 200, `{"status":"success","data":{"resultType":"matrix","result":[{"met`, BadAnswer, "is not Prometheus", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.body
			if body == "" {
				body = file(t, "error.json")
			}
			s := serve(t, c.status, body)
			_, err := open(t, s.URL, nil).Read(context.Background(), metrics.Query{Selector: "x}"}, at(1), time.Minute)
			var e *Error
			if !errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(err.Error(), c.words) || e.Retry() != c.retry {
				t.Errorf("%v (%+v), want %s with %q", err, e, c.kind, c.words)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAnswerCutOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":`))
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	var e *Error
	err := open(t, s.URL, nil).Ping(context.Background())
	if !errors.As(err, &e) || e.Kind != Unreachable || !e.Retry() || !strings.Contains(err.Error(), s.URL) || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("%v (%+v)", err, e)
	}
}

// TestOwnMistakes: what is wrong on this side is said so.
func TestOwnMistakes(t *testing.T) {
	s := serve(t, http.StatusOK, `{}`)
	for want, o := range map[string]Options{
		"does not speak TLS: use http:// there":            {URL: strings.Replace(s.URL, "http:", "https:", 1)},
		"was not asked: open /no/such/token: no such file": {URL: s.URL, BearerTokenFile: "/no/such/token"},
		"reading a token from /dev/null: it is empty":      {URL: s.URL, BearerTokenFile: os.DevNull},
	} {
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestCredentialsStay: whoever is asked cannot have the token sent on to somebody else.
func TestCredentialsStay(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+r.Header.Get("X-Scope"))
	}))
	t.Cleanup(other.Close)
	for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		s := httptest.NewServer(http.RedirectHandler(other.URL+"/graph?a=secret", code))
		t.Cleanup(s.Close)
		p, err := New(Options{URL: s.URL, BearerToken: "t0k3n", Headers: map[string]string{"X-Scope": "me"}})
		if err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := p.Ping(t.Context()); !errors.As(err, &e) || e.Kind != Redirect || e.Retry() || !strings.Contains(err.Error(), "sends questions on to "+other.URL+"/graph:") {
			t.Errorf("%d: %v", code, err)
		}
	}
	if len(got) > 0 {
		t.Errorf("it was asked with %q", got)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://user:secret@" + l.Addr().String() + "/prom"
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = open(t, url, nil).Ping(context.Background())
	var e *Error
	if !errors.As(err, &e) || e.Kind != Unreachable || !e.Retry() || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
	if strings.Contains(fmt.Sprintf("%v %v", err, e.Address), "secret") {
		t.Error("the password is in the error:", err)
	}
}

func TestSlowAndHangingServers(t *testing.T) {
	free := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("slow") == "body" {
			_, _ = w.Write([]byte(`{"status":`))
			w.(http.Flusher).Flush()
		}
		<-free
	}))
	defer hang.Close()
	defer close(free)
	for _, suffix := range []string{"", "?slow=body"} {
		begun := time.Now()
		err := open(t, hang.URL+suffix, func(o *Options) { o.Timeout = 100 * time.Millisecond }).Ping(context.Background())
		var e *Error
		if !errors.As(err, &e) || e.Kind != Timeout || !e.Retry() || time.Since(begun) > 2*time.Second {
			t.Errorf("%s: %v after %s", suffix, err, time.Since(begun))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := open(t, hang.URL, nil).Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Error("a caller who gives up is no fault of Prometheus:", err)
	}
}

func TestHugeAnswersAreCutOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		junk := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	err := open(t, s.URL, func(o *Options) { o.MaxBytes = 1 << 20 }).Ping(context.Background())
	var e *Error
	if !errors.As(err, &e) || e.Kind != TooLarge || !strings.Contains(err.Error(), "more than 1 MiB") {
		t.Error(err)
	}
}

func TestCredentialsAndHeaders(t *testing.T) {
	s := serve(t, 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		header string
		want   string
	}{
		{"token", func(o *Options) { o.BearerToken = "abc" }, "Authorization", "Bearer abc"},
		{"token file", func(o *Options) { o.BearerTokenFile = token }, "Authorization", "Bearer from-file"},
		{"user", func(o *Options) { o.URL = strings.Replace(s.URL, "//", "//me:pw@", 1) }, "Authorization", "Basic bWU6cHc="},
		{"tenant", func(o *Options) { o.Headers = map[string]string{"X-Scope-OrgID": "a"} }, "X-Scope-Orgid", "a"},
	} {
		if err := open(t, s.URL, c.change).Ping(context.Background()); err != nil {
			t.Error(c.name, err)
		}
		if got := s.header.Get(c.header); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	err := open(t, s.URL, func(o *Options) { o.BearerTokenFile = token + "x" }).Ping(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
	}))
	defer s.Close()
	s.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := open(t, s.URL, nil).Ping(context.Background()); !errors.As(err, &e) || e.Kind != TLS || e.Retry() {
		t.Error("an unknown CA:", err)
	}
	if err := open(t, strings.Replace(s.URL, "https", "http", 1), nil).Ping(context.Background()); !errors.As(err, &e) {
		t.Error("http to an https port:", err)
	}
	for name, change := range map[string]func(*Options){
		"CA": func(o *Options) { o.CAFile = ca }, "insecure": func(o *Options) { o.InsecureSkipVerify = true },
		"transport": func(o *Options) { o.Transport = s.Client().Transport },
	} {
		if err := open(t, s.URL, change).Ping(context.Background()); err != nil {
			t.Error(name, err)
		}
	}
	plain := serve(t, 200, "{}")
	if err := open(t, strings.Replace(plain.URL, "http", "https", 1), nil).Ping(context.Background()); !errors.As(err, &e) || e.Kind != TLS {
		t.Error("https to an http port:", err)
	}
}

func TestBadOptions(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"must be a URL":               {URL: "prometheus:9090"},
		"reading the CA":              {URL: "http://x", CAFile: empty + "x"},
		"no PEM":                      {URL: "http://x", CAFile: empty},
		"client certificate":          {URL: "http://x", CertFile: empty, KeyFile: empty},
		"a transport of one's own":    {URL: "http://x", CAFile: empty, Transport: http.DefaultTransport},
		"such as http://prometheus.m": {URL: "ftp://x"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := open(t, "http://me:pw@prom:9090/prefix/?x=1#y", nil)
	if p.Address() != "http://prom:9090/prefix/" {
		t.Error(p.Address())
	}
}

// The API server's service proxy: a path prefix, an own transport, and no POST.
func TestServiceProxyWithoutPost(t *testing.T) {
	var methods []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method+" "+r.URL.Path)
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
	}))
	defer s.Close()
	prefix := "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy"
	p := open(t, s.URL+prefix, func(o *Options) { o.Transport = http.DefaultTransport })
	if err := p.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"POST " + prefix + "/api/v1/query", "GET " + prefix + "/api/v1/query"}; !reflect.DeepEqual(methods, want) {
		t.Error(methods)
	}
}
