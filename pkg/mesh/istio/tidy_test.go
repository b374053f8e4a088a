package istio_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
)

// scene is a rollout of a Timeout and a Retry over one VirtualService, up to an exposure.
type scene struct {
	t          *testing.T
	base, live world
	change     policy.Change
}

func stage(t *testing.T, base, policies string, e policy.Exposure) scene {
	t.Helper()
	s := scene{t: t, base: objects(t, base), change: change(t, policies)}
	out, err := istio.New().Compile(s.base.snapshot(), s.change, e)
	if err != nil {
		t.Fatal(err)
	}
	s.live = s.base.apply(out.Stages)
	return s
}

func (s scene) named(name string) *unstructured.Unstructured {
	i := slices.IndexFunc(s.live, func(o *unstructured.Unstructured) bool { return id(o) == name })
	if i < 0 {
		s.t.Fatalf("there is no %s", name)
	}
	return s.live[i].DeepCopy()
}

// tidy tidies an object as somebody left it.
func (s scene) tidy(live *unstructured.Unstructured) mesh.Undone {
	s.t.Helper()
	u, err := istio.New().Tidy(s.base.get(live), s.live.get(live), live, s.change)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func specOf(t *testing.T, text string) any {
	t.Helper()
	return objects(t, doc("X", "a/b", text))[0].Object["spec"]
}

const (
	twoRoutes = "{hosts: [cart], http: [{name: a, match: [{uri: {prefix: /a}}], route: [{destination: {host: cart}}], timeout: 3s, retries: {attempts: 5, retryOn: 5xx}}, {route: [{destination: {host: cart}}]}]}"
	bothKinds = "{target: {service: cart}, request: 1s}"
)

func folded(t *testing.T) scene {
	return stage(t, cartService+doc("VirtualService", "shop/cart", twoRoutes),
		pol("Timeout", bothKinds)+pol("Retry", "{target: {service: cart}, attempts: 2, perTryTimeout: 200ms}"), everybody())
}

func entryOf(o *unstructured.Unstructured, i int) node { return nodes(at(o.Object, "spec", "http"))[i] }

// TestTidyAfterTheFold: others edited the folded object; only our fields go back.
func TestTidyAfterTheFold(t *testing.T) {
	cases := map[string]struct {
		edit      func(o *unstructured.Unstructured)
		want      string
		conflicts []mesh.Conflict
	}{
		"nobody edited": {edit: func(*unstructured.Unstructured) {}, want: twoRoutes},
		"somebody put an entry in front and renamed ours": {
			edit: func(o *unstructured.Unstructured) {
				s := o.Object["spec"].(node)
				entryOf(o, 0)["name"] = "api"
				s["http"] = append([]any{node{"name": "new", "route": []any{node{"destination": node{"host": "new"}}}, "timeout": "1s"}}, s["http"].([]any)...)
			},
			want: "{hosts: [cart], http: [{name: new, route: [{destination: {host: new}}], timeout: 1s}, {name: api, match: [{uri: {prefix: /a}}], route: [{destination: {host: cart}}], timeout: 3s, retries: {attempts: 5, retryOn: 5xx}}, {route: [{destination: {host: cart}}]}]}",
		},
		"somebody renamed ours and changed its match": {
			// It cannot be told from an entry of theirs any more, but still has our values: that is reported.
			edit: func(o *unstructured.Unstructured) {
				entryOf(o, 0)["name"], entryOf(o, 0)["match"] = "api", []any{node{"uri": node{"prefix": "/b"}}}
			},
			want: "{hosts: [cart], http: [{name: api, match: [{uri: {prefix: /b}}], route: [{destination: {host: cart}}], timeout: 1s, retries: {attempts: 2, perTryTimeout: 200ms}}, {route: [{destination: {host: cart}}]}]}",
			conflicts: []mesh.Conflict{
				{Field: "spec.http[api].timeout", Base: `"3s"`, Ours: `"1s"`, Live: `"1s"`},
				{Field: "spec.http[api].retries", Base: `{"attempts":5,"retryOn":"5xx"}`, Ours: `{"attempts":2,"perTryTimeout":"200ms"}`, Live: `{"attempts":2,"perTryTimeout":"200ms"}`},
			},
		},
		"somebody changed the match of a named entry": {
			edit: func(o *unstructured.Unstructured) {
				entryOf(o, 0)["match"] = []any{node{"uri": node{"prefix": "/b"}}}
			},
			want: strings.Replace(twoRoutes, "/a", "/b", 1),
		},
		"somebody set a third timeout": {
			edit:      func(o *unstructured.Unstructured) { entryOf(o, 0)["timeout"] = "7s" },
			want:      strings.Replace(twoRoutes, "3s", "7s", 1),
			conflicts: []mesh.Conflict{{Field: "spec.http[a].timeout", Base: `"3s"`, Ours: `"1s"`, Live: `"7s"`}},
		},
		"somebody set the old timeout again": {
			edit: func(o *unstructured.Unstructured) { entryOf(o, 0)["timeout"] = "3s" },
			want: twoRoutes,
		},
		"somebody took the timeout out": {
			edit: func(o *unstructured.Unstructured) { delete(entryOf(o, 0), "timeout") },
			want: strings.Replace(twoRoutes, "timeout: 3s, ", "", 1),
		},
		"somebody changed one field of the retries": {
			edit: func(o *unstructured.Unstructured) {
				entryOf(o, 0)["retries"].(node)["attempts"] = int64(9)
			},
			want:      strings.Replace(twoRoutes, "attempts: 5", "attempts: 9", 1),
			conflicts: []mesh.Conflict{{Field: "spec.http[a].retries.attempts", Base: "5", Ours: "2", Live: "9"}},
		},
		"somebody deleted an entry": {
			edit: func(o *unstructured.Unstructured) {
				s := o.Object["spec"].(node)
				s["http"] = s["http"].([]any)[1:]
			},
			want: "{hosts: [cart], http: [{route: [{destination: {host: cart}}]}]}",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := folded(t)
			live := s.named("VirtualService shop/cart")
			c.edit(live)
			u := s.tidy(live)
			got := live
			if u.Object != nil {
				got = u.Object
			}
			if d := cmp.Diff(specOf(t, c.want), got.Object["spec"]); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if d := cmp.Diff(c.conflicts, u.Conflicts); d != "" {
				t.Errorf("conflicts, -want +got:\n%s", d)
			}
		})
	}
}

// TestTidyOfWhatWeMade: an object that did not exist goes, unless somebody else took it over.
func TestTidyOfWhatWeMade(t *testing.T) {
	for name, e := range map[string]policy.Exposure{"split": byRequest(policy.Enforce, 0.1), "fold": everybody()} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, cartService, pol("Timeout", bothKinds)+pol("CircuitBreaker", cartBreaker), e)
			for _, o := range []string{"VirtualService shop/cart", "DestinationRule shop/cart"} {
				live := s.named(o)
				live.SetAnnotations(map[string]string{"meshpol.io/rollout": "r", "meshpol.io/fence": "3"})
				live.SetResourceVersion("77")
				if u := s.tidy(live); !u.Delete || u.Object != nil || len(u.Conflicts) > 0 {
					t.Errorf("%s: %+v, want it deleted", o, u)
				}
				live.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm"})
				if u := s.tidy(live); u.Delete || len(u.Conflicts) == 0 {
					t.Errorf("%s: %+v, want it kept, since somebody else labelled it", o, u)
				}
			}
			live := s.named("VirtualService shop/cart")
			live.Object["spec"].(node)["exportTo"] = []any{"."}
			u := s.tidy(live)
			if u.Delete || len(u.Conflicts) == 0 {
				t.Errorf("%+v, want it kept, since somebody else edited it", u)
			}
			if u.Object != nil && strings.Contains(asJSON(u.Object.Object), "mp-") {
				t.Errorf("what is left of the split: %s", asJSON(u.Object.Object))
			}
		})
	}
}

// TestTidyOfABreaker: others edited the rule meanwhile.
func TestTidyOfABreaker(t *testing.T) {
	rule := "{host: cart, trafficPolicy: {connectionPool: {tcp: {maxConnections: 10}}}}"
	for name, e := range map[string]policy.Exposure{"split": byInstance(policy.Enforce), "fold": everybody()} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, cartService+cartRoutes+doc("DestinationRule", "shop/cart", rule), pol("CircuitBreaker", "{target: {service: cart}, maxConnections: 5, outlierDetection: {consecutiveErrors: 3}}"), e)
			live := s.named("DestinationRule shop/cart")
			live.Object["spec"].(node)["trafficPolicy"].(node)["tls"] = node{"mode": "ISTIO_MUTUAL"}
			subsets, _ := live.Object["spec"].(node)["subsets"].([]any)
			live.Object["spec"].(node)["subsets"] = append(subsets, node{"name": "v7", "labels": node{"version": "v7"}})
			u := s.tidy(live)
			want := "{host: cart, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, connectionPool: {tcp: {maxConnections: 10}}}, subsets: [{name: v7, labels: {version: v7}}]}"
			got := live
			if u.Object != nil {
				got = u.Object
			}
			if d := cmp.Diff(specOf(t, want), got.Object["spec"]); d != "" || len(u.Conflicts) > 0 {
				t.Errorf("-want +got:\n%s\n%v", d, u.Conflicts)
			}
		})
	}
}

func TestTidyOfNothing(t *testing.T) {
	s := folded(t)
	u, err := istio.New().Tidy(s.base[1], s.live.get(s.base[1]), nil, s.change)
	if err != nil || u.Delete || u.Object != nil {
		t.Errorf("%+v, %v: want nothing to do where the object is gone", u, err)
	}
	if u := s.tidy(s.base[1].DeepCopy()); u.Object != nil || len(u.Conflicts) > 0 {
		t.Errorf("%+v: want nothing to do where live is base", u)
	}
}

// TestTidyKeepsMetadata: the object to write is the live one, with its own resourceVersion and managedFields.
func TestTidyKeepsMetadata(t *testing.T) {
	s := folded(t)
	live := s.named("VirtualService shop/cart")
	live.SetResourceVersion("4711")
	live.SetLabels(map[string]string{"team": "cart"})
	u := s.tidy(live)
	if u.Object.GetResourceVersion() != "4711" || u.Object.GetLabels()["team"] != "cart" {
		t.Errorf("got %v", u.Object.Object["metadata"])
	}
}

// TestNeutraliseWhateverOthersDid: only entries of this run go.
func TestNeutraliseWhateverOthersDid(t *testing.T) {
	s := stage(t, cartService+doc("VirtualService", "shop/cart", twoRoutes), pol("Timeout", bothKinds), byRequest(policy.Enforce, 0.5))
	live := s.named("VirtualService shop/cart")
	spec := live.Object["spec"].(node)
	entries := spec["http"].([]any)
	other := node{"name": "mp-new-ffffffff-0-p", "route": []any{node{"destination": node{"host": "x"}}}}
	// Somebody moved our clones behind their originals, edited one, and another run is there too.
	entries[0].(node)["timeout"] = "77s"
	spec["http"] = []any{other, entries[1], entries[0], entries[3], entries[2]}
	out := istio.New().Neutralise([]*unstructured.Unstructured{s.base[0], live, nil}, s.change)
	if len(out) != 1 {
		t.Fatalf("%d objects change, want 1", len(out))
	}
	want := []any{other, entries[1], entries[3]}
	if d := cmp.Diff(want, out[0].Object["spec"].(node)["http"]); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestNeutraliseLeavesARoute: where somebody deleted every original, a clone becomes a plain route, since Istio refuses
// a VirtualService without any.
func TestNeutraliseLeavesARoute(t *testing.T) {
	s := stage(t, cartService+doc("VirtualService", "shop/cart", "{hosts: [cart], http: [{route: [{destination: {host: cart}}], retries: {attempts: 1}}]}"), pol("Timeout", bothKinds)+pol("CircuitBreaker", cartBreaker), byRequest(policy.Enforce, 0.5))
	live := s.named("VirtualService shop/cart")
	spec := live.Object["spec"].(node)
	spec["http"] = spec["http"].([]any)[:1]
	out := istio.New().Neutralise([]*unstructured.Unstructured{live}, s.change)
	want := specOf(t, "{hosts: [cart], http: [{route: [{destination: {host: cart}}]}]}")
	if len(out) != 1 || cmp.Diff(want, out[0].Object["spec"]) != "" {
		t.Errorf("got %s", asJSON(out))
	}
}
