//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// The resources that the tests of bad input read and write beside those of package trial.
var (
	services  = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	revisions = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}
	leases    = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// short are times for a canary of one step that ends within half a minute and asks for no bound: what is tested is not
// the verdict. The arguments of the test come after them, so that they win.
func short(command string, args ...string) []string {
	return append([]string{command, "--steps", "10", "--min-requests", "40", "--step0-min", "2s", "--step0-max", "60s", "--step-min", "3s",
		"--step-max", "6s", "--bake", "3s", "--fold-watch", "3s", "--tick", "1s", "--on-inconclusive", "promote"}, args...)
}

// timeout is the policy that most of these tests roll out: one that does no harm, also on a machine that is too busy.
func (s *scene) timeout(service string) string {
	s.Helper()
	return s.file("Timeout", service+"-timeout", service, "  request: 20s\n")
}

// begin starts meshpol and goes on; what is left of it at the end of the test is killed.
func (s *scene) begin(args ...string) *trial.Run {
	s.Helper()
	r, err := s.lab.Start(s.ctx, nil, args...)
	s.must(err)
	s.Cleanup(func() { _ = r.Kill() })
	return r
}

// moment is a point in the life of a run, as its events tell it.
type moment func(trial.Event) bool

// judged is the first judgement of a step: its policy is in force everywhere and it is being watched.
func judged(step string) moment {
	return func(e trial.Event) bool { return e.Event == "judged" && e.Text("step") == step }
}

// wrote is the moment after the write of a step, while its barrier is open.
func wrote(step string) moment {
	return func(e trial.Event) bool { return e.Event == "wrote" && e.Text("why") == step }
}

func named(event string) moment {
	return func(e trial.Event) bool { return e.Event == event }
}

func warned(text string) moment {
	return func(e trial.Event) bool { return e.Event == "warned" && strings.Contains(e.Text("text"), text) }
}

// until waits until a run has reached a moment. A run that ends before has failed the test.
func (s *scene) until(r *trial.Run, m moment) {
	s.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		over := r.Over()
		if slices.ContainsFunc(r.Events(), m) {
			return
		}
		if over || time.Now().After(deadline) {
			s.Fatalf("meshpol %s did not get there (over: %v, exit code %d)\nstdout: %s\nstderr: %s\nevents:\n%s",
				strings.Join(r.Args, " "), over, r.Exit, r.Stdout, r.Stderr, eventText(r))
		}
	}
}

// ends waits for the end of a run and wants an exit code.
func (s *scene) ends(r *trial.Run, wantExit int) *trial.Run {
	s.Helper()
	s.wantExit(r.Wait(), wantExit)
	return r
}

// plain runs meshpol with text output to its end, wants an exit code, and logs what a person would read.
func (s *scene) plain(lab trial.Lab, wantExit int, args ...string) *trial.Run {
	s.Helper()
	r, err := lab.Plain(s.ctx, args...)
	s.must(err)
	s.wantExit(r, wantExit)
	s.Logf("meshpol %s: exit code %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	return r
}

// notSays wants that a text is not in what meshpol printed.
func (s *scene) notSays(r *trial.Run, text string) {
	s.Helper()
	if strings.Contains(r.Stdout+r.Stderr, text) {
		s.Errorf("meshpol %s says %q:\n%s%s", strings.Join(r.Args, " "), text, r.Stdout, r.Stderr)
	}
}

// nothingWritten wants the mesh as before and no trace of a rollout: no Lease with a state, no record.
func (s *scene) nothingWritten() {
	s.Helper()
	s.untouched()
	list, err := s.lab.Client.Resource(revisions).Namespace(trial.Namespace).List(s.ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=meshpol"})
	s.must(err)
	for _, o := range list.Items {
		s.Errorf("a record was left: %s", o.GetName())
	}
	if r := s.meshpol(0, "status", "-n", trial.Namespace, "-o", "json"); strings.Contains(r.Stdout, `"phase"`) {
		s.Errorf("a rollout is shown: %s", r.Stdout)
	}
}

// status is what a person reads of a rollout.
func (s *scene) status(name string) *trial.Run {
	s.Helper()
	return s.plain(*s.lab, 0, "status", name, "-n", trial.Namespace)
}

// phase wants the phase of a rollout.
func (s *scene) phase(name, want string) {
	s.Helper()
	if r := s.status(name); !strings.Contains(r.Stdout, "phase     "+want) {
		s.Errorf("status of %s, want phase %s:\n%s", name, want, r.Stdout)
	}
}

// live reads a VirtualService of the shop.
func (s *scene) live(name string) *unstructured.Unstructured {
	s.Helper()
	o, err := s.lab.Client.Resource(trial.VirtualServices).Namespace(trial.Namespace).Get(s.ctx, name, metav1.GetOptions{})
	s.must(err)
	return o
}

// edit changes a VirtualService as somebody else would, under the name of another field manager.
func (s *scene) edit(name, manager string, change func(*unstructured.Unstructured)) {
	s.Helper()
	s.must(trial.Eventually(s.ctx, 10*time.Second, func() (bool, error) {
		o := s.live(name)
		change(o)
		_, err := s.lab.Client.Resource(trial.VirtualServices).Namespace(trial.Namespace).Update(s.ctx, o, metav1.UpdateOptions{FieldManager: manager})
		return err == nil, err
	}))
}

// virtualService puts a user's VirtualService in place.
func (s *scene) virtualService(name string, hosts []any, http ...any) {
	s.Helper()
	s.must(s.lab.Apply(s.ctx, trial.VirtualServices, map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
		"metadata": map[string]any{"name": name, "namespace": trial.Namespace},
		"spec":     map[string]any{"hosts": hosts, "http": http},
	}))
}

// to is a route to a service of the shop.
func to(service string) []any {
	return []any{map[string]any{"destination": map[string]any{"host": service + ".shop.svc.cluster.local"}}}
}

// start and stop act on a part of the lab's control plane.
func (s *scene) start(part string) {
	s.Helper()
	s.must(s.lab.Control.StartPart(context.WithoutCancel(s.ctx), part))
}

func (s *scene) stop(part string) {
	s.Helper()
	s.Cleanup(func() { s.start(part) })
	s.must(s.lab.Control.StopPart(s.ctx, part))
}

// as is the lab as seen by somebody with another kubeconfig.
func (s *scene) as(kubeconfig string) trial.Lab {
	other := *s.lab
	other.Kubeconfig = kubeconfig
	return other
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// expired is a ServiceAccount's token of the right form whose time is over; no key has signed it.
func expired(t *testing.T) string {
	t.Helper()
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(jsonOf(t, v))) }
	claims := map[string]any{"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:shop:web", "aud": []string{"https://kubernetes.default.svc"}, "exp": 1700000000}
	return part(map[string]any{"alg": "RS256"}) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("none"))
}

// jsonOf is a value as JSON, keys sorted.
func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// canonical is a JSON text with its keys sorted.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return jsonOf(t, v)
}

// each runs a test per case in a fixed order.
func each[T any](t *testing.T, cases map[string]T, run func(*testing.T, T)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { run(t, cases[name]) })
	}
}
