//go:build e2e

package e2e

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// service makes a Service of the shop with one port; it goes with the test.
func (s *scene) service(name, portName string, selector map[string]any) {
	s.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": trial.Namespace},
		"spec": map[string]any{"selector": selector, "ports": []any{map[string]any{"name": portName, "port": int64(80), "targetPort": int64(8080)}}},
	}}
	api := s.lab.Client.Resource(services).Namespace(trial.Namespace)
	_, err := api.Create(s.ctx, o, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { _ = api.Delete(context.WithoutCancel(s.ctx), name, metav1.DeleteOptions{}) })
}

// TestTargetThatIsNot: what cannot carry the policy is said before anything is written.
func TestTargetThatIsNot(t *testing.T) {
	s := newScene(t, 0, nil)
	s.service("db", "tcp-db", map[string]any{"app": "cart"})
	for service, texts := range map[string][]string{
		"cartt": {"MP401", "there is no Service shop/cartt in the cluster", "cartt-timeout.yaml:8"},
		"db":    {"db-timeout.yaml:8", "HTTP"},
	} {
		file := s.timeout(service)
		for _, command := range []string{"plan", "rollout", "apply"} {
			r := s.plain(*s.lab, 3, command, "-f", file)
			for _, text := range texts {
				s.says(r, text)
			}
		}
	}
	s.nothingWritten()
}

// TestTargetThatNobodyCalls: without requests there is nothing to judge by, and no policy stays. The judge waits 75 s
// for series before it says so.
func TestTargetThatNobodyCalls(t *testing.T) {
	s := newScene(t, 0, nil)
	s.service("idle", "http", map[string]any{"app": "nobody"})
	file := s.timeout("idle")
	r := s.meshpol(6, short("rollout", "--step0-max", "6s", "-f", file)...)
	s.untouched()
	s.says(r, "nothing to judge by: no data: neither side counts requests")
	s.phase("idle-timeout", "RolledBack")
	s.meshpol(0, "apply", "--bake", "1s", "--tick", "1s", "--no-analysis", "-f", file)
	s.meshpol(0, "rollback", "idle-timeout", "-n", trial.Namespace)
	s.untouched()
}
