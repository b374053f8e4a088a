package fleet_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

const podsJSON = `{"items":[
  {"metadata":{"name":"web-b","labels":{"app":"web","version":"v1"}},"status":{"phase":"Running","podIP":"10.0.0.2"}},
  {"metadata":{"name":"web-a","labels":{"app":"web","version":"v1"}},"status":{"phase":"Running","podIP":"10.0.0.1"}},
  {"metadata":{"name":"web-c","labels":{"app":"web"}},"status":{"phase":"Pending","podIP":"10.0.0.3"}},
  {"metadata":{"name":"web-d","labels":{"app":"web"},"deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running","podIP":"10.0.0.4"}},
  {"metadata":{"name":"web-e","labels":{"app":"web"}},"status":{"phase":"Running"}},
  {"metadata":{"name":"cart-a","labels":{"app":"cart","version":"v2"}},"status":{"phase":"Running","podIP":"10.0.0.5"}}]}`

// apiServer is a TLS API server that knows one token; it returns the path of a kubeconfig.
func apiServer(t *testing.T, status int, answer string) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		if r.URL.String() != "/api/v1/namespaces/shop/pods?labelSelector=app" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return kubeconfig(t, server.URL, "secret", ca)
}

func kubeconfig(t *testing.T, server, token string, ca []byte) string {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters:
- {name: other, cluster: {server: "https://other"}}
- {name: c, cluster: {server: %q, certificate-authority-data: %s}}
users:
- {name: u, user: {token: %q}}
contexts:
- {name: lab, context: {cluster: c, user: u}}
`, server, base64.StdEncoding.EncodeToString(ca), token)
	return write(t, text)
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPodsAreThoseThatRun(t *testing.T) {
	config := apiServer(t, 200, podsJSON)
	got, err := fleet.Pods(t.Context(), config, []string{"cart", "web"})
	want := []fleet.Pod{
		{Name: "cart-a", App: "cart", Version: "v2", IP: "10.0.0.5"},
		{Name: "web-a", App: "web", Version: "v1", IP: "10.0.0.1"},
		{Name: "web-b", App: "web", Version: "v1", IP: "10.0.0.2"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = fleet.Pods(t.Context(), config, []string{"web", "mobile"})
	if err == nil || err.Error() != `finding pods of app "mobile": none runs in namespace shop; running apps: cart, web` {
		t.Errorf("no such app: %v", err)
	}
	if pod, err := fleet.Named(t.Context(), config, "web-b"); err != nil || pod != want[2] {
		t.Errorf("%+v, %v", pod, err)
	}
	_, err = fleet.Named(t.Context(), config, "web-d")
	if err == nil || err.Error() != `finding pod "web-d": it does not run in namespace shop; running pods: cart-a, web-a, web-b` {
		t.Errorf("no such pod: %v", err)
	}
}

func TestPodsSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ path, want string }{
		"missing":   {filepath.Join(t.TempDir(), "no"), "reading the kubeconfig: open"},
		"no yaml":   {write(t, "\t{"), "reading the kubeconfig"},
		"empty":     {write(t, ""), `current context "" leads to no server`},
		"no ca":     {kubeconfig(t, "https://127.0.0.1:1", "secret", []byte("x")), "the certificate authority holds no certificate"},
		"forbidden": {apiServer(t, 403, "no"), "listing the pods of namespace shop: the API server answered 403 Forbidden: no"},
		"no json":   {apiServer(t, 200, "<html>"), "listing the pods of namespace shop: invalid character"},
	} {
		if _, err := fleet.Pods(t.Context(), c.path, []string{"web"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := fleet.Named(t.Context(), c.path, "web"); err == nil {
			t.Errorf("%s: a pod was found", name)
		}
	}
}

// controlOf answers for every pod, whatever its address, and remembers the last one dialled.
func controlOf(t *testing.T, handler http.HandlerFunc) (*fleet.Control, *atomic.Value) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	var dialled atomic.Value
	return fleet.NewControl(func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Store(addr)
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}), &dialled
}

func TestCall(t *testing.T) {
	control, dialled := controlOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := jsonhttp.Body(r)
		if err != nil {
			t.Error(err)
		}
		switch r.Method + " " + r.URL.Path {
		case "PUT /ok":
			fmt.Fprintf(w, `{"got":%s}`, body)
		case "PUT /bad":
			jsonhttp.Fail(w, 500, jsonhttp.Refuse("rps", 0, "more"))
		default:
			http.NotFound(w, r)
		}
	})
	pod := fleet.Pod{Name: "web-a", IP: "10.0.0.1"}
	var answer struct{ Got []int }
	if err := control.Call(t.Context(), pod, "PUT", "/ok", []int{1, 2}, &answer); err != nil || len(answer.Got) != 2 {
		t.Errorf("%+v, %v", answer, err)
	}
	if dialled.Load() != "10.0.0.1:9901" {
		t.Errorf("dialled %v", dialled.Load())
	}
	for path, want := range map[string]string{
		"/bad":  "pod web-a refused PUT /bad: field rps is 0; allowed: more",
		"/none": "pod web-a refused PUT /none: 404 Not Found 404 page not found",
	} {
		if err := control.Call(t.Context(), pod, "PUT", path, nil, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	err := control.Call(t.Context(), pod, "PUT", "/ok", []int{1}, new(string))
	if err == nil || !strings.HasPrefix(err.Error(), "reading the answer of pod web-a to PUT /ok: ") {
		t.Errorf("%v", err)
	}
	if err := control.Call(t.Context(), pod, "PUT", "/ok", func() {}, nil); err == nil {
		t.Error("a function was sent as JSON")
	}
	if _, err := control.Records(t.Context(), pod, 0); err == nil || !strings.Contains(err.Error(), "refused GET /load/records?since=0") {
		t.Errorf("%v", err)
	}
}

func TestRecordsThatBreakOffAreAnError(t *testing.T) {
	control, _ := controlOf(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"format":"shop-records/1","client":"web-a","next":2,"paths":["/"]}`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := control.Records(t.Context(), fleet.Pod{Name: "web-a", IP: "10.0.0.1"}, 0)
	if err == nil || !strings.HasPrefix(err.Error(), "collecting the records of pod web-a: ") {
		t.Errorf("%v", err)
	}
}

func TestEachKeepsTheOrderAndEveryError(t *testing.T) {
	pods := []fleet.Pod{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	got, err := fleet.Each(pods, func(p fleet.Pod) (string, error) {
		if p.Name == "b" {
			return "", nil
		}
		return p.Name + p.Name, errors.New("no " + p.Name)
	})
	if !reflect.DeepEqual(got, []string{"aa", "", "cc"}) || err == nil || err.Error() != "no a\nno c" {
		t.Errorf("%q, %v", got, err)
	}
}
