package shop

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
)

// fakeLab is two web pods and a mobile pod that call one user-service pod, without a mesh.
type fakeLab struct {
	kubeconfig string
	addresses  map[string]string
	openedName string
}

func newFakeLab(t *testing.T) *fakeLab {
	t.Helper()
	user := startPod(t, serveOptions{name: "user-service-v2", pod: "user-service-v2-a"})
	lab := &fakeLab{addresses: map[string]string{}}
	var items []string
	for i, name := range []string{"web-a", "web-b", "mobile-a", "user-service-v2-a"} {
		p, app := user, "user-service"
		if !strings.HasPrefix(name, app) {
			app, _, _ = strings.Cut(name, "-")
			p = startPod(t, serveOptions{name: name, next: user.service})
		}
		ip := fmt.Sprintf("10.0.0.%d", i+1)
		lab.addresses[ip+":9901"] = strings.TrimPrefix(p.control, "http://")
		items = append(items, fmt.Sprintf(
			`{"metadata":{"name":%q,"labels":{"app":%q}},"status":{"phase":"Running","podIP":%q}}`, name, app, ip))
	}
	lab.kubeconfig = fakeAPI(t, `{"items":[`+strings.Join(items, ",")+`]}`)
	return lab
}

// fakeAPI serves a list of pods and returns the path of a kubeconfig for it.
func fakeAPI(t *testing.T, pods string) string {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, pods) }))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"current-context":"x","contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],`+
		`"clusters":[{"name":"x","cluster":{"server":%q,"certificate-authority-data":%q}}]}`,
		server.URL, base64.StdEncoding.EncodeToString(ca))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (l *fakeLab) open(_ context.Context, name string) (reach, error) {
	l.openedName = name
	return reach{kubeconfig: l.kubeconfig, control: fleet.NewControl(
		func(ctx context.Context, network, addr string) (net.Conn, error) {
			real, ok := l.addresses[addr]
			if !ok {
				return nil, fmt.Errorf("no route to %s", addr)
			}
			return new(net.Dialer).DialContext(ctx, network, real)
		})}, nil
}

// run runs a command line below a root like that of the lab.
func (l *fakeLab) run(ctx context.Context, line string) (string, string, error) {
	root := &cobra.Command{Use: "lab", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().String("name", "lab", "")
	root.AddCommand(newLoad(l.open), newBehave(l.open))
	var out, log bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&log)
	root.SetArgs(strings.Fields(line))
	err := root.ExecuteContext(ctx)
	return out.String(), log.String(), err
}

func (l *fakeLab) must(t *testing.T, line string) string {
	t.Helper()
	out, log, err := l.run(t.Context(), line)
	if err != nil {
		t.Fatalf("lab %s: %v\n%s%s", line, err, out, log)
	}
	return out
}

func (l *fakeLab) mustJSON(t *testing.T, line string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(l.must(t, line)), into); err != nil {
		t.Fatalf("lab %s: %v", line, err)
	}
}
