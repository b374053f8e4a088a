package shop

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// pod is a served pod of the test's own.
type pod struct {
	service, control, grpc string
	stop                   context.CancelFunc
	ended                  chan error
}

func startPod(t *testing.T, o serveOptions) pod {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var listeners []net.Listener
	for range 3 {
		listener, err := listen(ctx, "test", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, listener)
	}
	o.complete("")
	p := pod{
		service: "http://" + listeners[0].Addr().String(), control: "http://" + listeners[1].Addr().String(),
		grpc: "grpc://" + listeners[2].Addr().String(),
		stop: cancel, ended: make(chan error, 1),
	}
	go func() { p.ended <- serveOn(ctx, o, listeners[0], listeners[1], listeners[2]) }()
	t.Cleanup(cancel)
	return p
}

func (p pod) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, p.control+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func TestALoadGoesThroughTheShop(t *testing.T) {
	user := startPod(t, serveOptions{name: "user-service-v2"})
	cart := startPod(t, serveOptions{name: "cart", next: user.service})
	web := startPod(t, serveOptions{name: "web", next: cart.service})
	if code, body := user.ask(t, "PUT", "/behaviour", `[{"path":"/bad","failRatio":1,"failCode":504}]`); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := web.ask(t, "POST", "/load", `{"rps":200,"duration":"200ms","paths":["/","/bad"]}`); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, body := web.ask(t, "GET", "/load", ""); strings.Contains(body, `"state":"done"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the run does not end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, body := web.ask(t, "GET", "/load/records", "")
	batch, err := referee.ReadBatch(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	log, err := referee.Merge(batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range log.Records {
		want := map[string]referee.Outcome{"/": 200, "/bad": 504}[log.Paths[r.Path]]
		if r.Outcome != want || log.ServerOf(r) != (referee.Server{Pod: "cart", Version: "v1"}) || r.Cohort == referee.Unknown {
			t.Fatalf("%+v of %+v", r, log.ServerOf(r))
		}
	}
	if len(log.Records) < 20 || len(log.Records) > 40 {
		t.Errorf("%d records of 40", len(log.Records))
	}
	// The id went all the way: both hops count the same requests.
	if _, body := user.ask(t, "GET", "/counters", ""); !strings.Contains(body, `"path":"/bad"`) {
		t.Errorf("counters of the last service: %s", body)
	}
}

func TestServeEndsWithoutRequestsThatHang(t *testing.T) {
	p := startPod(t, serveOptions{name: "a", linger: 50 * time.Millisecond})
	p.ask(t, "PUT", "/behaviour", `[{"path":"/","hangRatio":1},{"path":"/slow","delay":"300ms"}]`)
	p.ask(t, "POST", "/load", `{"rps":10,"duration":"1h","target":"`+p.service+`"}`)
	hung, slow := make(chan error, 1), make(chan int, 1)
	go func() {
		_, err := http.Get(p.service)
		hung <- err
	}()
	go func() {
		if resp, err := http.Get(p.service + "/slow"); err == nil {
			slow <- resp.StatusCode
		}
		close(slow)
	}()
	time.Sleep(100 * time.Millisecond)
	begin := time.Now()
	p.stop()
	if err := <-hung; err == nil {
		t.Error("a hanging request was answered")
	}
	if code := <-slow; code != 200 {
		t.Errorf("a request in flight got %d", code)
	}
	select {
	case err := <-p.ended:
		if err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("ended after %s: %v", time.Since(begin), err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not end")
	}
	if _, err := http.Get(p.service); err == nil {
		t.Error("still serving")
	}
}

func TestServeCmd(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cmd := ServeCmd()
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"--name", "user-service-v2", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--linger", "0s"})
	if err := cmd.ExecuteContext(ctx); err != nil || !strings.HasPrefix(out.String(), "pod ") {
		t.Errorf("%v, log %q", err, out.String())
	}
	for args, want := range map[string]string{
		"--listen x":                  `required flag(s) "name" not set`,
		"--name a --listen nowhere:x": "listening for the service on nowhere:x",
		"--name a --listen 127.0.0.1:0 --control 256.1.1.1:1":             "listening for the control port",
		"--name a --listen 127.0.0.1:0 --control 127.0.0.1:0 --next cart": "reading the next service",
	} {
		cmd := ServeCmd()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetErr(io.Discard)
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestNamesOfPods(t *testing.T) {
	for name, want := range map[string]string{"cart": "v1", "user-service-v2": "v2", "a-v10": "v10", "v3": "v1", "a-v": "v1"} {
		o := serveOptions{name: name}
		o.complete("")
		if o.version != want || o.pod != name {
			t.Errorf("%s: %+v", name, o)
		}
	}
	o := serveOptions{name: "cart"}
	o.complete("cart-abc")
	if o.pod != "cart-abc" {
		t.Errorf("%+v", o)
	}
}
