package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// world is a cluster with a mesh that takes every change at once: an API server, an istiod and two Envoys, as far as
// meshpol looks at them.
type world struct {
	*fakekube.Server
	t          *testing.T
	dir        string
	kubeconfig string
	env        map[string]string

	mu      sync.Mutex
	content string
	pushes  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: fakekube.New(fakekube.Istio()...), t: t, dir: t.TempDir(), env: map[string]string{}}
	t.Cleanup(w.Close)
	w.kubeconfig = w.file("kubeconfig", fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: test, clusters: [{name: c, cluster: {server: %q}}], "+
		"users: [{name: u, user: {}}], contexts: [{name: test, context: {cluster: c, user: u, namespace: shop}}, {name: other, context: {cluster: c, user: u}}]}", w.URL))
	w.Add(serviceOf("cart"), serviceOf("web"), podOf("istio-system", "istiod-a", "discovery", "istiod"))
	w.Forward("istio-system", "istiod-a", "15014", http.HandlerFunc(w.istiod))
	for _, pod := range []string{"cart-a", "web-a"} {
		w.Add(podOf("shop", pod, "istio-proxy", strings.TrimSuffix(pod, "-a")))
		w.Forward("shop", pod, "15000", http.HandlerFunc(w.envoy))
	}
	return w
}

func serviceOf(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Service",
		"spec": map[string]any{"selector": map[string]any{"app": name}, "ports": []any{map[string]any{"name": "http", "port": int64(80), "protocol": "TCP"}}}}}
	o.SetNamespace("shop")
	o.SetName(name)
	return o
}

func podOf(namespace, name, container, app string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod",
		"spec":   map[string]any{"containers": []any{map[string]any{"name": container, "image": "pilot:1.24.3"}}},
		"status": map[string]any{"phase": "Running", "podIP": "10.0.0.1", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}}}
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetLabels(map[string]string{"app": app})
	if container == "istio-proxy" {
		o.SetLabels(map[string]string{"app": app, "security.istio.io/tlsMode": "istio", "service.istio.io/canonical-name": app})
	}
	return o
}

// config is what the mesh makes of the cluster: the hosts, and every route and rule as it is written.
func (w *world) config() (string, int) {
	text := "cart.shop.svc.cluster.local web.shop.svc.cluster.local"
	for _, name := range []string{"cart", "web"} {
		for _, resource := range []string{"virtualservices", "destinationrules"} {
			if o := w.Object(resource, "shop", name); o != nil {
				b, err := json.Marshal(o.Object["spec"])
				if err != nil {
					w.t.Error(err)
				}
				text += string(b)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if text != w.content {
		w.content = text
		w.pushes++
	}
	return text, w.pushes
}

// istiod answers which configuration each proxy was sent and has acknowledged.
func (w *world) istiod(out http.ResponseWriter, _ *http.Request) {
	_, pushes := w.config()
	nonce := fmt.Sprintf("2026-11-24T10:20:57Z/%d00000000-0000-4000-8000-000000000000", pushes+7)
	var list []any
	for _, pod := range []string{"cart-a", "web-a"} {
		list = append(list, map[string]any{"proxy": pod + ".shop", "proxy_type": "sidecar", "cluster_id": "Kubernetes",
			"route_sent": nonce, "route_acked": nonce, "cluster_sent": nonce, "cluster_acked": nonce, "listener_sent": nonce, "listener_acked": nonce})
	}
	json.NewEncoder(out).Encode(list)
}

func (w *world) envoy(out http.ResponseWriter, _ *http.Request) {
	text, _ := w.config()
	fmt.Fprint(out, text)
}

// file writes a file and returns its path.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) timeout(name, service, request string) string {
	w.t.Helper()
	return w.file(name+"-"+request+".yaml", fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: Timeout\nmetadata: {name: %s, namespace: shop}\nspec: {target: {service: %s}, request: %s}\n", name, service, request))
}

// buffer is a writer that may be read while others write.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// ran is a command that runs, or ran.
type ran struct {
	args     []string
	code     int
	out, err *buffer
	signals  chan os.Signal
	done     chan struct{}
}

// start runs meshpol beside the test.
func (w *world) start(args ...string) *ran {
	w.t.Helper()
	if args[0] != "__complete" {
		args = append(args, "--kubeconfig", w.kubeconfig)
	}
	r := &ran{args: args, out: &buffer{}, err: &buffer{}, signals: make(chan os.Signal, 3), done: make(chan struct{})}
	s := streams{in: strings.NewReader(""), out: r.out, err: r.err, env: func(name string) (string, bool) {
		v, ok := w.env[name]
		return v, ok
	}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	go func() {
		defer close(r.done)
		r.code = run(ctx, args, s, r.signals)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// meshpol runs meshpol to its end and wants an exit code.
func (w *world) meshpol(want int, args ...string) *ran {
	w.t.Helper()
	return w.start(args...).ends(w.t, want)
}

func (r *ran) ends(t *testing.T, want int) *ran {
	t.Helper()
	<-r.done
	if r.code != want {
		t.Fatalf("meshpol %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), r.code, want, r.out, r.err)
	}
	return r
}

// says wants texts on standard output and standard error.
func (r *ran) says(t *testing.T, texts ...string) *ran {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out.String()+r.err.String(), text) {
			t.Errorf("meshpol %s does not say %q:\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), text, r.out, r.err)
		}
	}
	return r
}

// quiet wants nothing on standard output.
func (r *ran) quiet(t *testing.T) *ran {
	t.Helper()
	if r.out.String() != "" {
		t.Errorf("meshpol %s writes to standard output: %s", strings.Join(r.args, " "), r.out)
	}
	return r
}

// document decodes the one document on standard output.
func (r *ran) document(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	d := json.NewDecoder(strings.NewReader(r.out.String()))
	if err := d.Decode(&doc); err != nil || d.More() {
		t.Fatalf("meshpol %s: not one document on standard output (%v): %s\n%s", strings.Join(r.args, " "), err, r.out, r.err)
	}
	return doc
}

// outcomes are "name outcome" of each target in the result document.
func (r *ran) outcomes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, o := range r.document(t)["outcomes"].([]any) {
		out = append(out, fmt.Sprint(o.(map[string]any)["name"], " ", o.(map[string]any)["outcome"]))
	}
	return out
}

func cartTarget() policy.Target {
	return policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"}
}

// leases is another runner's view of the locks.
func (w *world) leases() *kube.LeaseStore {
	w.t.Helper()
	c, err := kube.New(&rest.Config{Host: w.URL}, kube.Options{QPS: 1000, Burst: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return kube.NewLeaseStore(c)
}

// stored puts a rollout into the cluster whose runner is alive, or gone.
func (w *world) stored(name string, target policy.Target, phase rollout.Phase, live bool) *kube.LeaseStore {
	w.t.Helper()
	store := w.leases()
	if _, err := store.Acquire(w.t.Context(), target, "someone@host/1", ""); err != nil {
		w.t.Fatal(err)
	}
	now := metav1.Now().Time
	s := rollout.State{Version: rollout.StateVersion, Name: name, Target: target, Rev: "0a0a0a0a", Digest: "sha256:0", Revision: 1, Phase: phase, Steps: 8, Started: now, Updated: now}
	w.save(store, s)
	if !live {
		if err := store.Release(w.t.Context(), target); err != nil {
			w.t.Fatal(err)
		}
	}
	return store
}

func (w *world) save(store *kube.LeaseStore, s rollout.State) {
	w.t.Helper()
	if _, err := store.Save(w.t.Context(), s); err != nil {
		w.t.Error(err)
	}
}

// waitFor holds a request until the gate opens or the client goes.
func waitFor(gate <-chan struct{}) func(http.ResponseWriter, *http.Request) {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}
}
