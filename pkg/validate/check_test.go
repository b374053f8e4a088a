package validate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/validate"
)

func TestWhatTheMeshRefusesIsAFinding(t *testing.T) {
	refusal := &policy.UnsupportedError{Code: "MP543", Policy: policy.Key{Kind: "Timeout", Namespace: "shop", Name: "t"}, Field: "spec.idle",
		Mesh: "istio 1.31.0", Reason: "there is no idle timeout", Next: "remove idle"}
	stranger := &policy.UnsupportedError{Code: "MP442", Reason: "two VirtualServices"}
	const found = "-:4 MP543 error spec.idle: istio 1.31.0: there is no idle timeout; remove idle"
	timeout := doc("Timeout", "t", "{"+cart+", request: 1s, idle: 1s}")
	canary := doc("Rollout", "x", "{strategy: {canary: {}}}")
	cases := map[string]struct {
		text  string
		live  *policy.Snapshot
		mesh  fakeMesh
		asked int
		want  []string
	}{
		"at the fold":                   {timeout, shop(), fakeMesh{err: refusal}, 1, []string{found}},
		"wrapped":                       {timeout, shop(), fakeMesh{err: fmt.Errorf("compiling: %w", refusal)}, 1, []string{found}},
		"at the split of the Rollout":   {docs(timeout, canary), shop(), fakeMesh{err: refusal, only: policy.ByRequest}, 2, []string{found}},
		"at no split of a direct one":   {docs(timeout, doc("Rollout", "x", direct)), shop(), fakeMesh{err: refusal, only: policy.ByRequest}, 1, nil},
		"without a policy of the files": {timeout, shop(), fakeMesh{err: stranger}, 1, []string{"MP442 error : two VirtualServices;"}},
		"never offline":                 {timeout, nil, fakeMesh{err: refusal}, 0, nil},
		"once for two policies":         {docs(timeout, doc("Retry", "r", "{"+cart+", attempts: 1}")), shop(), fakeMesh{err: refusal}, 1, []string{found}},
		"not for what is broken already": {strings.Replace(timeout, "cart", "carts", 1), shop(), fakeMesh{err: refusal}, 0, []string{
			"-:4 MP401 error spec.target.service: there is no Service shop/carts in the cluster; check the name and the namespace, or deploy the Service first"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			asked := 0
			c.mesh.asked = &asked
			got := lines(validate.Check(load(t, c.text), c.live, c.mesh))
			if diff := cmp.Diff(c.want, got); diff != "" || asked != c.asked {
				t.Errorf("asked %d times, want %d; %s", asked, c.asked, diff)
			}
		})
	}
}

// TestABreakerOfAServiceWithoutPods must not divide by the number of its endpoints.
func TestABreakerOfAServiceWithoutPods(t *testing.T) {
	empty := but(func(s *policy.Snapshot) {
		s.Objects = append(s.Objects, object("Service", "shop", "empty", map[string]any{"selector": map[string]any{"app": "empty"}}))
	})
	text := doc("CircuitBreaker", "b", "{target: {service: empty}, outlierDetection: {maxEjectionPercent: 10}}")
	for _, f := range validate.Check(load(t, text), empty, fakeMesh{}) {
		if f.Code == "MP307" {
			t.Errorf("%+v", f)
		}
	}
}

func TestNoMeshChosen(t *testing.T) {
	got := lines(validate.Check(load(t, doc("Timeout", "t", "{"+cart+", request: 1s}")), shop(), nil))
	want := []string{"MP602 error : there is no mesh in the cluster lab; check the kubeconfig context; files alone are checked with --offline"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFromLoad(t *testing.T) {
	_, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(doc("Timeout", "t", "{target: {servce: cart}}"))})
	var errs policy.Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	want := []validate.Finding{{Code: "MP107", Severity: validate.Error, Policy: policy.Key{Kind: "Timeout", Namespace: "shop", Name: "t"}, At: "-:4",
		Field: "spec.target.servce", Message: `unknown field "servce"`, Next: "did you mean service? allowed: gateway, host, namespace, port, routes, service, workload"}}
	if diff := cmp.Diff(want, validate.FromLoad(errs)); diff != "" {
		t.Error(diff)
	}
}

func TestFindingsAreSorted(t *testing.T) {
	var texts []string
	for i := range 12 {
		texts = append(texts, doc("Timeout", fmt.Sprintf("t%d", 12-i), fmt.Sprintf("{target: {service: s%d}, request: 0s}", i)))
	}
	var at []string
	for _, f := range validate.Check(load(t, docs(texts...)), nil, nil) {
		at = append(at, f.At)
	}
	want := []string{"-:4", "-:9", "-:14", "-:19", "-:24", "-:29", "-:34", "-:39", "-:44", "-:49", "-:54", "-:59"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Error(diff)
	}
}

// TestSchemaCodesAreThoseOfLoad keeps the two lists of MP1xx together.
func TestSchemaCodesAreThoseOfLoad(t *testing.T) {
	var got []string
	for _, c := range validate.Codes() {
		if strings.HasPrefix(c.Code, "MP1") {
			got = append(got, c.Code)
		}
	}
	var want []string
	for i := 101; i <= 114; i++ {
		want = append(want, fmt.Sprintf("MP%d", i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestMeshesHaveCodesOfTheirOwn keeps a mesh's codes off ours.
func TestMeshesHaveCodesOfTheirOwn(t *testing.T) {
	ours := validate.Codes()
	for _, c := range istio.Codes() {
		if slices.ContainsFunc(ours, func(o validate.Code) bool { return o.Code == c.Code }) {
			t.Errorf("%s is a code of Istio and of validate", c.Code)
		}
	}
}

// TestRoutesMeetWhereARequestFitsBoth compares the arithmetic of MP303 with requests.
func TestRoutesMeetWhereARequestFitsBoth(t *testing.T) {
	paths := []string{"/", "/a", "/a/b", "/ab", "/b", "/b/c"}
	drawn := rapid.Custom(func(t *rapid.T) [2]string {
		return [2]string{rapid.SampledFrom([]string{"", "/*", "/a*", "/a/*", "/a", "/b", "/b/*", "/a/b"}).Draw(t, "path"),
			rapid.SampledFrom([]string{"", "GET", "POST"}).Draw(t, "method")}
	})
	fits := func(route [2]string, path, method string) bool {
		prefix, isPrefix := strings.CutSuffix(route[0], "*")
		pathFits := route[0] == "" || path == route[0] || (isPrefix && strings.HasPrefix(path, prefix))
		return pathFits && (route[1] == "" || route[1] == method)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawn.Draw(t, "a"), drawn.Draw(t, "b")
		if a == [2]string{} || b == [2]string{} {
			t.Skip("a route names something")
		}
		want := false
		for _, path := range paths {
			for _, method := range []string{"GET", "POST"} {
				want = want || (fits(a, path, method) && fits(b, path, method))
			}
		}
		set := mustLoad(docs(routed("t", a), routed("u", b)))
		got := slices.ContainsFunc(validate.Check(set, nil, nil), func(f validate.Finding) bool { return f.Code == "MP303" })
		if got != want {
			t.Fatalf("%v and %v: found %v, want %v", a, b, got, want)
		}
	})
}

func routed(name string, route [2]string) string {
	var parts []string
	if route[0] != "" {
		parts = append(parts, `path: "`+route[0]+`"`)
	}
	if route[1] != "" {
		parts = append(parts, "method: "+route[1])
	}
	return doc("Timeout", name, "{target: {service: cart, routes: [{"+strings.Join(parts, ", ")+"}]}, request: 1s}")
}

func mustLoad(text string) policy.Set {
	set, err := policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(text)})
	if err != nil {
		panic(err)
	}
	return set
}

// thousand is 1,000 policies of all client-side kinds on 250 services.
func thousand() string {
	var texts []string
	for i := range 250 {
		target := fmt.Sprintf("target: {service: s%d}", i)
		texts = append(texts,
			doc("Timeout", fmt.Sprintf("t%d", i), "{"+target+", request: 2s}"),
			doc("Retry", fmt.Sprintf("r%d", i), "{"+target+", attempts: 2, perTryTimeout: 500ms, on: [connect-failure, 503]}"),
			doc("CircuitBreaker", fmt.Sprintf("c%d", i), "{"+target+", maxConnections: 100, outlierDetection: {consecutiveErrors: 5, maxEjectionPercent: 50}}"),
			doc("MutualTLS", fmt.Sprintf("m%d", i), "{"+target+", mode: strict}"))
	}
	return docs(texts...)
}

// TestAThousandPoliciesTakeLessThanASecond takes the best of three: the machine may be busy with something else.
func TestAThousandPoliciesTakeLessThanASecond(t *testing.T) {
	text, best := thousand(), time.Hour
	for range 3 {
		start := time.Now()
		if findings := validate.Check(load(t, text), nil, nil); len(findings) != 0 {
			t.Fatalf("%d findings", len(findings))
		}
		best = min(best, time.Since(start))
	}
	if best > time.Second {
		t.Errorf("took %s", best)
	}
}

func BenchmarkThousandPolicies(b *testing.B) {
	text := thousand()
	for b.Loop() {
		validate.Check(load(b, text), nil, nil)
	}
}

func BenchmarkThousandPoliciesAgainstACluster(b *testing.B) {
	text := thousand()
	live := but(func(s *policy.Snapshot) {
		for i := range 250 {
			name := fmt.Sprintf("s%d", i)
			s.Objects = append(s.Objects, object("Service", "shop", name, map[string]any{"selector": map[string]any{"app": name}}))
			for j := range 4 {
				s.Pods = append(s.Pods, policy.Pod{Namespace: "shop", Name: fmt.Sprintf("%s-%d", name, j), Labels: map[string]string{"app": name}, Proxy: true})
			}
		}
	})
	for b.Loop() {
		validate.Check(load(b, text), live, fakeMesh{})
	}
}
