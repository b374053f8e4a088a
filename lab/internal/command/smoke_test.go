package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

// smokeVariable turns on the test that starts a lab; it takes half a minute once everything is built.
const smokeVariable = "MESHPOL_LAB_SMOKE"

// smokeLab is a lab of the test's own, beside any other.
const smokeLab = "smoke"

func TestALabFromUpToDown(t *testing.T) {
	if os.Getenv(smokeVariable) == "" {
		t.Skipf("set %s=1 to start a lab (needs root)", smokeVariable)
	}
	binary := filepath.Join(t.TempDir(), "lab")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/meshpol/meshpol/lab/cmd/lab").CombinedOutput(); err != nil {
		t.Fatalf("building lab: %v\n%s", err, out)
	}
	lab := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := exec.Command(binary, append([]string{"--name", smokeLab}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		err := cmd.Run()
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := lab(args...)
		if err != nil {
			t.Fatalf("lab %v: %v\n%s", args, err, out)
		}
		return out
	}
	t.Cleanup(func() {
		must("down")
		if _, err := lab("status"); err == nil {
			t.Error("the lab answers after its end")
		}
	})
	must("up")
	var status conn.Status
	if err := json.Unmarshal([]byte(must("status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if !status.Ready || len(status.Pods) != 14 {
		t.Errorf("ready %t with %d pods, want 14", status.Ready, len(status.Pods))
	}
	call := []string{"exec", "shop/web", "--", "curl", "-s", "-m", "5", "http://cart/"}
	if out := must(call...); !strings.Contains(out, `"pod":"user-service-`) {
		t.Errorf("web's call through cart to user-service answered %s", out)
	}
	must("stop", "apiserver")
	if out := must(call...); !strings.Contains(out, `"status":200`) {
		t.Errorf("without an API server the mesh answered %s", out)
	}
	must("start", "apiserver")
	awaitMetrics(t, status.Prometheus)
	must("up") // a lab that runs is left as it is
}

// awaitMetrics waits until Prometheus has read all twelve proxies.
func awaitMetrics(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last string
	for ctx.Err() == nil {
		resp, err := http.Get(url + "/api/v1/query?query=count(envoy_server_live)")
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if last = string(body); strings.Contains(last, `"12"`) {
				return
			}
		}
		time.Sleep(time.Second)
	}
	t.Errorf("Prometheus has not read twelve proxies: %s", last)
}
