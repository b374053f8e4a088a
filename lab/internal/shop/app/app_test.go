package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/header"
)

func newApp(t *testing.T, c Config, rules string) *App {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	behave(t, a, rules)
	return a
}

func behave(t *testing.T, a *App, rules string) {
	t.Helper()
	if code, body := control(a, "PUT", "/behaviour", rules); code != 200 {
		t.Fatalf("PUT /behaviour: %d %s", code, body)
	}
}

func control(a *App, method, path, body string) (int, string) {
	mux := http.NewServeMux()
	a.Routes(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// ask treats one request without a network and returns nil when the app broke it off.
func ask(ctx context.Context, a *App, path string) (w *httptest.ResponseRecorder) {
	defer func() {
		if cause := recover(); cause != nil {
			if err, ok := cause.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			w = nil
		}
	}()
	w = httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
	return w
}

func TestAnswersTellWhatArrived(t *testing.T) {
	a := newApp(t, Config{Pod: "user-service-0", Version: "v2"}, `[]`)
	r := httptest.NewRequest("GET", "/users/1?x=y", nil)
	r.Header.Set("X-Request-Id", "5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0abc")
	r.Header.Set("X-Envoy-Expected-Rq-Timeout-Ms", "500")
	r.Header.Set("X-Envoy-Attempt-Count", "3")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	for name, want := range map[string]string{
		"x-shop-pod": "user-service-0", "x-shop-version": "v2", "x-shop-attempt": "3", "x-shop-expected-timeout-ms": "500",
		"x-shop-request-id": "5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0abc", "x-shop-action": "answer", "content-type": "application/json",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.Header.Set("X-Lab-Expected-Timeout-Ms", "700")
	for _, want := range []string{"500", "700"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if got := w.Header().Get("x-shop-expected-timeout-ms"); got != want {
			t.Errorf("the timeout is %q, want %q", got, want)
		}
		r.Header.Del("X-Envoy-Expected-Rq-Timeout-Ms")
	}
	want := `{"pod":"user-service-0","version":"v2","path":"/users/1","status":200}`
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheLongestPrefixWins(t *testing.T) {
	a := newApp(t, Config{}, `[{"path":"/","failRatio":1,"failCode":500},{"path":"/a/b","failRatio":1,"failCode":502},`+
		`{"path":"/a","failRatio":1,"failCode":501}]`)
	for path, want := range map[string]int{"/": 500, "/x": 500, "/a": 501, "/abc": 501, "/a/b/c": 502} {
		if w := ask(t.Context(), a, path); w.Code != want || w.Header().Get(header.Action) != "fail" {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, Config{}, `[{"path":"/d","delay":"300ms"},{"path":"/s","delay":"1s","slowRatio":1,"slowDelay":"4s"},`+
			`{"path":"/f","delay":"2s","failRatio":1},{"path":"/j","jitter":"1s"}]`)
		for path, want := range map[string]time.Duration{"/d": 300 * time.Millisecond, "/s": 5 * time.Second, "/f": 2 * time.Second, "/": 0} {
			begin := time.Now()
			ask(t.Context(), a, path)
			if got := time.Since(begin); got != want {
				t.Errorf("%s took %s, want %s", path, got, want)
			}
		}
		for range 100 {
			begin := time.Now()
			ask(t.Context(), a, "/j")
			if got := time.Since(begin); got < 0 || got >= time.Second {
				t.Errorf("a jitter of at most 1s took %s", got)
			}
		}
	})
}

func TestHangingEndsWithTheClientOrTheApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, Config{}, `[{"path":"/","hangRatio":1}]`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		if w := ask(ctx, a, "/"); w != nil || time.Since(begin) != time.Hour {
			t.Errorf("after %s: %v", time.Since(begin), w)
		}
		go func() {
			time.Sleep(time.Minute)
			a.Stop()
		}()
		begin = time.Now()
		if w := ask(t.Context(), a, "/"); w != nil || time.Since(begin) != time.Minute {
			t.Errorf("after %s: %v", time.Since(begin), w)
		}
	})
}

func TestAClientThatLeavesDuringADelayGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, Config{}, `[{"path":"/","delay":"10s"}]`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if w := ask(ctx, a, "/"); w != nil || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), w)
		}
	})
}

func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, Config{}, `[{"path":"/","delay":"1s","maxInFlight":2}]`)
		codes := make(chan int, 5)
		for range 5 {
			go func() { codes <- ask(t.Context(), a, "/").Code }()
		}
		got := map[int]int{}
		for range 5 {
			got[<-codes]++
		}
		if got[200] != 2 || got[503] != 3 {
			t.Errorf("%v", got)
		}
		if w := ask(t.Context(), a, "/"); w.Code != 200 {
			t.Errorf("a later request: %d", w.Code)
		}
		if _, body := control(a, "GET", "/counters", ""); body !=
			`[{"path":"/","attempt":0,"requests":6,"actions":{"answer":3,"refuse":3}}]` {
			t.Errorf("counters %s", body)
		}
	})
}

func TestResetIsAReset(t *testing.T) {
	a := newApp(t, Config{}, `[{"path":"/","resetRatio":1}]`)
	server := httptest.NewServer(a)
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestAHangingServerNoticesThatAClientGaveUp(t *testing.T) {
	a := newApp(t, Config{}, `[{"path":"/","hangRatio":1}]`)
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		a.ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "POST", server.URL, strings.NewReader("{}"))
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the request still hangs")
	}
}

func TestNextGetsTheTraceAndItsAnswerCounts(t *testing.T) {
	status := 200
	var got *http.Request
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"n":%d}`, status)
	}))
	defer second.Close()
	a := newApp(t, Config{Pod: "cart-0", Next: second.URL + "/base/"}, `[]`)
	for _, want := range []int{200, 204, 301, 403, 504} {
		status = want
		r := httptest.NewRequest("DELETE", "/x?y=1", nil)
		for _, name := range header.Traced() {
			r.Header.Set(name, "of "+name)
		}
		r.Header.Set("Authorization", "secret")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if want < 400 {
			want = 200
		}
		if w.Code != want || (status != 204 && !strings.Contains(w.Body.String(), fmt.Sprintf(`"next":{"n":%d}`, status))) {
			t.Errorf("next answers %d: %d %s", status, w.Code, w.Body)
		}
		if got.Method != "DELETE" || got.URL.String() != "/base/x?y=1" || got.Header.Get("Authorization") != "" {
			t.Errorf("next got %s %s %v", got.Method, got.URL, got.Header)
		}
		for _, name := range header.Traced() {
			if got.Header.Get(name) != "of "+name {
				t.Errorf("next got %s: %q", name, got.Header.Get(name))
			}
		}
	}
	second.Close()
	if w := ask(t.Context(), a, "/"); w.Code != 502 || !strings.Contains(w.Body.String(), "calling the next service") {
		t.Errorf("without the next service: %d %s", w.Code, w.Body)
	}
}

func TestNewRefusesANextThatIsNoURL(t *testing.T) {
	for _, next := range []string{"cart", "https://cart", "http://", ":"} {
		if _, err := New(Config{Next: next}); err == nil || !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("%q: %v", next, err)
		}
	}
}

func TestControl(t *testing.T) {
	a := newApp(t, Config{Pod: "p", Version: "v1"}, `[{"path":"/","delay":"1ms"}]`)
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/ready", "", 200, `{"pod":"p","version":"v1"}`},
		{"GET", "/behaviour", "", 200, `[{"path":"/","delay":"1ms"}]`},
		{"PUT", "/behaviour", `[{"path":"/","delay":"x"}]`, 400,
			`{"error":"field [0].delay is \"x\"; allowed: a duration as a string, such as \"150ms\" or \"2s\"","field":"[0].delay",` +
				`"got":"\"x\"","allowed":"a duration as a string, such as \"150ms\" or \"2s\""}`},
		{"GET", "/behaviour", "", 200, `[{"path":"/","delay":"1ms"}]`},
		{"DELETE", "/behaviour", "", 200, `[]`},
		{"GET", "/counters", "", 200, `[]`},
	} {
		if code, body := control(a, c.method, c.path, c.body); code != c.code || body != c.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, code, body, c.code, c.want)
		}
	}
	a.Stop()
	if code, _ := control(a, "GET", "/ready", ""); code != 503 {
		t.Errorf("ready while stopping: %d", code)
	}
}

func TestCounters(t *testing.T) {
	a := newApp(t, Config{}, `[]`)
	for i := range maxPaths + 5 {
		ask(t.Context(), a, fmt.Sprintf("/%04d", i))
	}
	r := httptest.NewRequest("GET", "/0000", nil)
	r.Header.Set(header.AttemptCount, "2")
	a.ServeHTTP(httptest.NewRecorder(), r)
	_, body := control(a, "GET", "/counters", "")
	var counts []Count
	if err := json.Unmarshal([]byte(body), &counts); err != nil {
		t.Fatal(err)
	}
	if len(counts) != maxPaths+2 || counts[0].Path != otherPaths || counts[0].Requests != 5 ||
		counts[1].Attempt != 0 || counts[2].Attempt != 2 || counts[2].Path != "/0000" {
		t.Errorf("%d counts, first %+v", len(counts), counts[:3])
	}
	if _, body := control(a, "DELETE", "/counters", ""); body != "[]" {
		t.Errorf("cleared: %s", body)
	}
	ask(t.Context(), a, "/")
	if got := a.counters.list(); len(got) != 1 || got[0].Requests != 1 {
		t.Errorf("after clearing: %+v", got)
	}
}

func TestABodyIsReadAndIgnored(t *testing.T) {
	server := httptest.NewServer(newApp(t, Config{}, `[]`))
	defer server.Close()
	resp, err := http.Post(server.URL, "text/plain", io.LimitReader(strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}
