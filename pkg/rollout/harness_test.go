package rollout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// cartObjects is the service of most tests: one route with a timeout of 5 s, written by a team with other tools.
const cartObjects = `
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
  labels: {team: checkout}
  annotations: {note: keep me}
spec:
  hosts: [cart]
  http:
  - name: main
    timeout: 5s
    route: [{destination: {host: cart}}]
`

// cartFolded is what a careful person would have written to bring the timeout into force.
const cartFolded = `
hosts: [cart]
http:
- name: main
  timeout: 250ms
  route: [{destination: {host: cart}}]
`

const cartTimeout = `
apiVersion: meshpol.io/v1alpha1
kind: Timeout
metadata: {name: cart-timeout, namespace: shop}
spec:
  target: {service: cart}
  request: 250ms
`

// shortSteps are two steps of a canary by request with a bake and a fold, as short as they may be.
const shortSteps = `
strategy:
  canary: {by: request, steps: [{setWeight: 10, min: 30s, max: 2m}, {setWeight: 50, min: 30s, max: 2m}]}
analysis: {step0: {min: 30s, max: 2m, minRequests: 20}, minRequests: 10}
bake: 30s
`

func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split("\n"+text, "\n---") {
		b, err := yaml.YAMLToJSON([]byte(doc))
		must(t, err)
		o := &unstructured.Unstructured{}
		must(t, o.UnmarshalJSON(b))
		out = append(out, o)
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func vsRef() rollout.Ref {
	return rollout.Ref{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Namespace: "shop", Name: "cart"}
}

func drRef() rollout.Ref {
	return rollout.Ref{APIVersion: "networking.istio.io/v1", Kind: "DestinationRule", Namespace: "shop", Name: "cart"}
}

// bench is a cluster with a rollout that is planned and not begun.
type bench struct {
	t       testing.TB
	world   *fakemesh.World
	before  fakemesh.Objects
	change  policy.Change
	steps   []strategy.Step
	setting rollout.Settings
	docs    []map[string]any
	judge   metrics.Judge
	sink    *fakemesh.Recorder
	// tweak changes a runner before it starts.
	tweak func(*rollout.Executor)
	plan  *rollout.Plan
	name  string
}

// spec is what a bench is made of; empty fields have the defaults of the cart.
type spec struct {
	objects, policy, rollout string
	pods                     []policy.Pod
	fold                     time.Duration
	shares                   *fakemesh.Shares
}

func threeClients() []policy.Pod {
	return []policy.Pod{
		fakemesh.Pod("shop", "front", "front-1"), fakemesh.Pod("shop", "front", "front-2"), fakemesh.Pod("web", "shopfront", "shopfront-1"),
	}
}

// prepare makes a bench; it must run inside the bubble, since the world's clock starts here.
func prepare(t testing.TB, s spec) *bench {
	t.Helper()
	or := func(v, standIn string) string {
		if v == "" {
			return standIn
		}
		return v
	}
	if s.pods == nil {
		s.pods = threeClients()
	}
	b := &bench{t: t, world: fakemesh.New(objects(t, or(s.objects, cartObjects)), s.pods), judge: fakemesh.Judge{}, sink: &fakemesh.Recorder{}}
	if s.shares != nil {
		b.world.Shares = s.shares
	}
	b.world.Traffic = fakemesh.Traffic{RPS: 50, Fails: failing(0.001, 0.001)}
	doc := "apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: cart-timeout, namespace: shop}\nspec:\n" +
		indent(or(s.rollout, shortSteps))
	set, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(or(s.policy, cartTimeout) + "\n---\n" + doc)})
	must(t, err)
	changes := set.Changes()
	if len(changes) != 1 || len(set.Rollouts) != 1 {
		t.Fatalf("want one change and one rollout, got %d and %d", len(changes), len(set.Rollouts))
	}
	b.change, b.name = changes[0], set.Rollouts[0].Object.Name
	fold := s.fold
	if fold == 0 {
		fold = 30 * time.Second
	}
	b.steps, err = strategy.Plan(strategy.Input{
		Rollout: set.Rollouts[0].Object.Spec, Policies: b.change.Policies, Seed: b.name, Overrides: strategy.Overrides{Fold: fold},
	})
	must(t, err)
	b.setting = rollout.Settings{Deadline: 4 * time.Hour, PropagationTimeout: 30 * time.Second, Tick: 15 * time.Second}
	for _, p := range b.change.Policies {
		b.docs = append(b.docs, document(t, p.Object))
	}
	b.docs = append(b.docs, document(t, set.Rollouts[0].Object))
	return b
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

func document(t testing.TB, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	var out map[string]any
	must(t, json.Unmarshal(b, &out))
	return out
}

func (b *bench) input() rollout.PlanInput {
	return rollout.PlanInput{
		Name: b.name, Strategy: "canary", Snapshot: b.world.Snapshot(), Change: b.change, Steps: b.steps, Settings: b.setting,
		Host: "cart.shop.svc.cluster.local", Documents: b.docs,
	}
}

// planned makes the plan of this run.
func (b *bench) planned() *rollout.Plan {
	b.t.Helper()
	draft, err := rollout.NewPlan(istio.New(), b.input())
	must(b.t, err)
	in := b.input()
	in.Change.Rev = rollout.RevOf(draft.Digest, time.Now())
	b.change.Rev = in.Change.Rev
	b.plan, err = rollout.NewPlan(istio.New(), in)
	must(b.t, err)
	b.before = b.world.All()
	return b.plan
}

// runner is a node with an executor on it.
type runner struct {
	*bench
	node      *fakemesh.Node
	sink      *fakemesh.Recorder
	interrupt chan struct{}
	ctx       context.Context
}

func (b *bench) runner(name string) *runner {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	r := &runner{bench: b, node: b.world.Node(name), sink: b.sink, interrupt: make(chan struct{}), ctx: ctx}
	r.node.Cancel = cancel
	return r
}

func (r *runner) executor(snapshot *policy.Snapshot) rollout.Executor {
	x := rollout.Executor{
		Objects: r.node, Pods: r.node, Prover: r.node, Store: r.node, Archive: r.node, Meter: r.node, Judge: r.judge,
		Mesh: istio.New(), Sink: r.sink, Snapshot: snapshot, OnSignal: "rollback", Interrupt: r.interrupt,
	}
	if r.tweak != nil {
		r.tweak(&x)
	}
	return x
}

// start begins the rollout and runs it to its end.
func (r *runner) start() (rollout.Result, error) {
	r.t.Helper()
	p := r.planned()
	x := r.executor(r.world.Snapshot())
	s, err := x.Begin(r.ctx, p, r.node.Name, time.Now())
	if err != nil {
		return rollout.Result{}, err
	}
	return x.Run(r.ctx, p, s)
}

// resume does what `meshpol rollout resume` does: acquire, rebuild, run.
func (r *runner) resume(request string) (rollout.Result, error) {
	r.t.Helper()
	s, err := r.acquire()
	if err != nil {
		return rollout.Result{}, err
	}
	if s.Phase.Ended() {
		return rollout.Result{Phase: s.Phase, Cause: s.Cause, State: s}, r.node.Release(r.ctx, r.change.Target)
	}
	records, err := r.node.Records(r.ctx, r.change.Target)
	if err != nil {
		return rollout.Result{}, err
	}
	for _, rec := range records {
		if rec.Revision != s.Revision {
			continue
		}
		p, past, err := rollout.Rebuild(istio.New(), rec, r.world.Snapshot(), r.change)
		if err != nil {
			return rollout.Result{}, err
		}
		if request != "" {
			s.Request = request
		}
		return r.executor(past).Run(r.ctx, p, s)
	}
	return rollout.Result{}, fmt.Errorf("record %d is gone", s.Revision)
}

// acquire waits for the lease to be free.
func (r *runner) acquire() (rollout.State, error) {
	for {
		s, err := r.node.Acquire(r.ctx, r.change.Target, r.node.Name, "")
		if _, locked := err.(*rollout.LockedError); !locked {
			return s, err
		}
		time.Sleep(time.Second)
	}
}

// newPolicy tells whether a route has the new timeout of the cart.
func newPolicy(r fakemesh.Route) bool { return r.Entry["timeout"] == "250ms" }

// failing is traffic with one error rate under the old policy and one under the new.
func failing(old, new float64) func(fakemesh.Route) float64 {
	return func(r fakemesh.Route) float64 {
		if newPolicy(r) {
			return new
		}
		return old
	}
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// clean checks what must be so after every end: no mark, no name, no label of ours, and nobody wrote without a lease.
func (b *bench) clean() {
	b.t.Helper()
	for _, text := range b.world.Broken() {
		b.t.Error(text)
	}
	for ref, o := range b.world.All() {
		if text := fmt.Sprint(o.Object); strings.Contains(text, "meshpol.io/") || strings.Contains(text, "mp-") {
			b.t.Errorf("%s still bears something of ours: %s", ref, text)
		}
	}
	if left := b.world.PodsWith(b.change.Target.CohortLabel()); len(left) > 0 {
		b.t.Errorf("pods still bear the cohort label: %v", left)
	}
	_, holder, err := b.world.Stored(b.change.Target)
	must(b.t, err)
	if holder != "" && !b.world.Free(b.change.Target) {
		b.t.Errorf("the lease is still held by %s", holder)
	}
}

// asBefore checks that every object is deeply what it was before the rollout.
func (b *bench) asBefore() {
	b.t.Helper()
	b.clean()
	if diff := cmp.Diff(bare(b.before), bare(b.world.All())); diff != "" {
		b.t.Errorf("the objects differ from before (-before +now):\n%s", diff)
	}
}

// bare is a set of objects without what every write changes.
func bare(objects fakemesh.Objects) map[string]any {
	out := map[string]any{}
	for ref, o := range objects {
		c := o.DeepCopy()
		unstructured.RemoveNestedField(c.Object, "metadata", "resourceVersion")
		out[ref.String()] = c.Object
	}
	return out
}

// specIs checks the spec of a live object against YAML.
func (b *bench) specIs(ref rollout.Ref, want string) {
	b.t.Helper()
	js, err := yaml.YAMLToJSON([]byte(want))
	must(b.t, err)
	var spec map[string]any
	must(b.t, json.Unmarshal(js, &spec))
	o := b.world.Get(ref)
	if o == nil {
		b.t.Fatalf("%s does not exist", ref)
	}
	if diff := cmp.Diff(plain(b.t, spec), plain(b.t, o.Object["spec"])); diff != "" {
		b.t.Errorf("%s (-want +live):\n%s", ref, diff)
	}
}

func plain(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	var out any
	must(t, json.Unmarshal(b, &out))
	return out
}

// endedAs checks phase and cause of a result.
func endedAs(t testing.TB, got rollout.Result, err error, phase rollout.Phase, cause rollout.Cause) {
	t.Helper()
	must(t, err)
	if got.Phase != phase || got.Cause != cause {
		t.Fatalf("ended as %s because of %q (%s), want %s because of %q", got.Phase, got.Cause, got.Reason, phase, cause)
	}
}

// trace prints every call when a test has failed.
func (b *bench) trace() {
	if b.t.Failed() {
		for _, e := range b.world.Log() {
			b.t.Log(e)
		}
	}
}
