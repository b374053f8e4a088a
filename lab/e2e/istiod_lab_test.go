//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// scale sets the replicas of istiod and waits until as many are ready.
func (s *scene) scaleIstiod(ctx context.Context, replicas int) {
	s.Helper()
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := s.lab.Client.Resource(deployments).Namespace("istio-system").Patch(ctx, "istiod", types.MergePatchType, patch, metav1.PatchOptions{})
	s.must(err)
	s.must(trial.Eventually(ctx, 90*time.Second, func() (bool, error) {
		pods, err := s.lab.Client.Resource(trial.Pods).Namespace("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
		if err != nil {
			return false, err
		}
		ready := 0
		for _, p := range pods.Items {
			if isReady(p) {
				ready++
			}
		}
		return ready == replicas && len(pods.Items) == replicas, nil
	}))
}

func isReady(pod unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" {
			return m["status"] == "True"
		}
	}
	return false
}

// connected waits until istiod answers writes and every sidecar of the shop is connected to it again, which the next
// rollout relies on.
func (s *scene) connected(ctx context.Context) {
	s.Helper()
	s.must(trial.Eventually(ctx, 2*time.Minute, func() (bool, error) {
		probe := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
			"metadata": map[string]any{"name": "probe", "namespace": trial.Namespace},
			"spec":     map[string]any{"hosts": []any{"probe.example.com"}, "http": []any{map[string]any{"route": to("cart")}}},
		}}
		_, err := s.lab.Client.Resource(trial.VirtualServices).Namespace(trial.Namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil, err
	}))
	pods, err := s.lab.Client.Resource(trial.Pods).Namespace(trial.Namespace).List(ctx, metav1.ListOptions{})
	s.must(err)
	s.must(trial.Eventually(ctx, 2*time.Minute, func() (bool, error) {
		n, err := s.connections(ctx)
		return n >= len(pods.Items), err
	}))
}

// connections counts the sidecars of the shop that are connected to istiod, in istiod's own words.
func (s *scene) connections(ctx context.Context) (int, error) {
	pods, err := s.lab.Client.Resource(trial.Pods).Namespace("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil || len(pods.Items) == 0 {
		return 0, err
	}
	dial, err := conn.DialPod(ctx, the.name, "istio-system/"+pods.Items[0].GetName())
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1:15014/debug/syncz")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var list []struct {
		Proxy string `json:"proxy"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return 0, err
	}
	n := 0
	for _, p := range list {
		if strings.HasSuffix(p.Proxy, "."+trial.Namespace) {
			n++
		}
	}
	return n, nil
}

// freezeIstiod stops istiod's process right after the next write of a run, before it pushes anything: connections stay,
// answers do not come.
func (s *scene) freezeIstiod(r *trial.Run) (thaw func()) {
	s.Helper()
	status, err := s.lab.Control.Status(s.ctx)
	s.must(err)
	var pids []int
	for _, pod := range status.Pods {
		for _, c := range pod.Containers {
			if pod.Namespace == "istio-system" && strings.HasPrefix(pod.Name, "istiod") && c.PID != 0 {
				pids = append(pids, descendants(c.PID)...)
			}
		}
	}
	thaw = func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	s.Cleanup(thaw)
	have := len(r.Named("wrote"))
	s.until(r, func(trial.Event) bool { return len(r.Named("wrote")) > have })
	for _, pid := range pids {
		s.must(syscall.Kill(pid, syscall.SIGSTOP))
	}
	return thaw
}

// descendants are a process and all below it.
func descendants(pid int) []int {
	out := []int{pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return out
	}
	for _, child := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(child); err == nil {
			out = append(out, descendants(n)...)
		}
	}
	return out
}
