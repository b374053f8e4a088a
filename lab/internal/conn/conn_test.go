package conn

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/state"
)

// serve plays a lab's supervisor.
func serve(t *testing.T, handler http.HandlerFunc) state.Lab {
	t.Helper()
	t.Setenv("MESHPOL_LAB_STATE", t.TempDir())
	lab, err := state.New("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(lab.Socket()), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", lab.Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return lab
}

func TestDialReachesTheAddressAndKeepsEarlyBytes(t *testing.T) {
	serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n\r\n%s from %s", r.Host, r.Header.Get(PodHeader))
	})
	dial, err := DialPod(t.Context(), "test", "shop/web")
	if err != nil {
		t.Fatal(err)
	}
	c, err := dial(t.Context(), "tcp", "10.244.1.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, _ := io.ReadAll(c); string(text) != "10.244.1.1:80 from shop/web" {
		t.Errorf("read %q", text)
	}
}

func TestDialGivesTheSupervisorsReason(t *testing.T) {
	serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(ErrorHeader, "connection refused")
		w.WriteHeader(http.StatusBadGateway)
	})
	dial, err := Dial(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t.Context(), "tcp", "10.244.1.1:80"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
	if _, err := dial(t.Context(), "udp", "10.244.1.1:80"); err == nil {
		t.Error("udp was taken")
	}
}

func TestALabThatDoesNotRunSaysHowToStartIt(t *testing.T) {
	t.Setenv("MESHPOL_LAB_STATE", t.TempDir())
	_, dialErr := Dial(t.Context(), "test")
	_, kubeErr := Kubeconfig("test")
	lab, err := state.New("test")
	if err != nil {
		t.Fatal(err)
	}
	_, statusErr := NewControl(lab).Status(t.Context())
	for what, err := range map[string]error{"Dial": dialErr, "Kubeconfig": kubeErr, "Status": statusErr} {
		if err == nil || !strings.Contains(err.Error(), "lab up --name test") || strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func TestControlReadsStatusAndRefusals(t *testing.T) {
	lab := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/status" {
			io.WriteString(w, `{"name":"test","ready":true,"pods":[{"name":"web"}]}`)
			return
		}
		http.Error(w, "no part "+r.URL.Path, http.StatusConflict)
	})
	control := NewControl(lab)
	s, err := control.Status(t.Context())
	if err != nil || !s.Ready || len(s.Pods) != 1 {
		t.Errorf("status %+v, error %v", s, err)
	}
	if err := control.StopPart(t.Context(), "x"); err == nil || err.Error() != `lab "test": no part /parts/x/stop` {
		t.Errorf("error %v", err)
	}
}
