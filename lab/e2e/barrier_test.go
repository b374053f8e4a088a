//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// envoyOf is the process of a pod's Envoy, a child of its pilot-agent.
func (s *scene) envoyOf(app string) (pod string, pid int) {
	s.Helper()
	status, err := s.lab.Control.Status(s.ctx)
	s.must(err)
	for _, p := range status.Pods {
		if p.Namespace != trial.Namespace || !strings.HasPrefix(p.Name, app+"-") {
			continue
		}
		for _, c := range p.Containers {
			if c.Name == "istio-proxy" {
				return p.Name, s.descendant(c.PID, "envoy")
			}
		}
	}
	s.Fatalf("no pod of %s has a sidecar", app)
	return "", 0
}

// descendant finds a process by name below another one.
func (s *scene) descendant(parent int, name string) int {
	s.Helper()
	children := map[int][]int{}
	names := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended meanwhile
		}
		open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:open])))
		ppid, _ := strconv.Atoi(strings.Fields(string(text[end+1:]))[1])
		children[ppid] = append(children[ppid], pid)
		names[pid] = string(text[open+1 : end])
	}
	for queue := []int{parent}; len(queue) > 0; queue = queue[1:] {
		if names[queue[0]] == name {
			return queue[0]
		}
		queue = append(queue, children[queue[0]]...)
	}
	s.Fatalf("no process %s below %d", name, parent)
	return 0
}

func TestStragglerIsNamedAndTheRolloutTakenBack(t *testing.T) {
	s := newScene(t, 100, nil)
	pod, pid := s.envoyOf("mobile")
	r, err := s.lab.Start(s.ctx, func(e trial.Event) {
		if e.Event == "stepPassed" && e.Text("step") == "step 0" {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	}, quick("rollout", "--steps", "10,50", "--propagation-timeout", "6s", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n"))...)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	s.must(err)
	r.Wait()
	s.wantExit(r, 6)
	s.says(r, pod)
	s.says(r, "11 of 12")
	s.must(syscall.Kill(pid, syscall.SIGCONT))
	s.untouched()
}

func TestRejectedConfigurationIsAnErrorInEnvoysWords(t *testing.T) {
	s := newScene(t, 0, nil)
	filters := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	t.Cleanup(func() {
		_ = s.lab.Client.Resource(filters).Namespace(trial.Namespace).Delete(the.ctx, "break-routes", metav1.DeleteOptions{})
	})
	// Istio lets it through, Envoy does not: a hash policy of a header without a name.
	s.must(s.lab.Apply(s.ctx, filters, map[string]any{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
		"metadata": map[string]any{"name": "break-routes", "namespace": trial.Namespace},
		"spec": map[string]any{
			"workloadSelector": map[string]any{"labels": map[string]any{"app": "web"}},
			"configPatches": []any{map[string]any{
				"applyTo": "HTTP_ROUTE",
				"match":   map[string]any{"context": "SIDECAR_OUTBOUND", "routeConfiguration": map[string]any{"name": "80", "vhost": map[string]any{"name": "cart.shop.svc.cluster.local:80"}}},
				"patch":   map[string]any{"operation": "MERGE", "value": map[string]any{"route": map[string]any{"timeout": "1s", "cluster_not_found_response_code": "NOT_FOUND", "max_internal_redirects": 1, "hash_policy": []any{map[string]any{"header": map[string]any{"header_name": ""}}}}}},
			}},
		},
	}))
	time.Sleep(2 * time.Second)
	r := s.meshpol(4, quick("rollout", "--steps", "10,50", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 2s\n"))...)
	s.says(r, "proxies refused the configuration")
	s.says(r, "the configuration is not valid")
	for _, w := range r.Named("warned") {
		t.Errorf("the way back waited for proxies that refused what was taken back: %s", w.Text("text"))
	}
	t.Logf("took %s\n%s", r.Ended.Sub(r.Started), eventText(r))
	s.untouched()
}
