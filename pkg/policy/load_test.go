package policy_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

const timeoutDoc = `apiVersion: meshpol.io/v1alpha1
kind: Timeout
metadata:
  name: cart-timeout
  namespace: shop
spec:
  target:
    service: cart
  request: 1.5s
`

const rolloutDoc = `apiVersion: meshpol.io/v1alpha1
kind: Rollout
metadata: {name: cart, namespace: shop}
spec:
  policies: [{kind: Timeout, name: cart-timeout}]
  strategy:
    canary: {stepWeights: [1, 50%]}
`

// files makes a file system of paths and texts.
func files(texts map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for path, text := range texts {
		out[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// loadText reads one document stream from standard input.
func loadText(text string) (policy.Set, error) {
	return policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(text), Namespace: "shop"})
}

// faults is the list of errors as text, one per line.
func faults(t *testing.T, err error) string {
	t.Helper()
	var list policy.Errors
	if err != nil && !errors.As(err, &list) {
		t.Fatalf("Load returned %T, not policy.Errors", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func names(s policy.Set) []string {
	var out []string
	for _, p := range s.Policies {
		out = append(out, p.Key.String()+" "+p.Source.At(""))
	}
	for _, r := range s.Rollouts {
		out = append(out, "Rollout/"+r.Object.Namespace+"/"+r.Object.Name+" "+r.Source.At(""))
	}
	return out
}

func doc(kind, name, spec string) string {
	return "apiVersion: meshpol.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
}

func TestLoadFindsFiles(t *testing.T) {
	retry := doc("Retry", "cart-retry", "{target: {service: cart}, attempts: 2}")
	tree := files(map[string]string{
		"shop/b.yaml":      retry,
		"shop/a.yml":       timeoutDoc + "---\n" + rolloutDoc,
		"shop/notes.txt":   "not a policy",
		"shop/deep/c.json": `{"apiVersion":"meshpol.io/v1alpha1","kind":"Timeout","metadata":{"name":"c"},"spec":{"target":{"service":"c"},"request":"1s"}}`,
		"shop/.git/d.yaml": "not: a policy",
	})
	cases := map[string]struct {
		paths     []string
		recursive bool
		want      []string
	}{
		"one file": {[]string{"shop/b.yaml"}, false, []string{"Retry/default/cart-retry shop/b.yaml:1"}},
		"a directory": {[]string{"shop"}, false, []string{
			"Retry/default/cart-retry shop/b.yaml:1", "Timeout/shop/cart-timeout shop/a.yml:1", "Rollout/shop/cart shop/a.yml:11"}},
		"a directory with all below": {[]string{"shop"}, true, []string{
			"Retry/default/cart-retry shop/b.yaml:1", "Timeout/default/c shop/deep/c.json:1",
			"Timeout/shop/cart-timeout shop/a.yml:1", "Rollout/shop/cart shop/a.yml:11"}},
		"a file named twice counts once": {[]string{"shop/b.yaml", "shop/b.yaml", "shop"}, false, []string{
			"Retry/default/cart-retry shop/b.yaml:1", "Timeout/shop/cart-timeout shop/a.yml:1", "Rollout/shop/cart shop/a.yml:11"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := policy.Load(policy.LoadOptions{Paths: c.paths, Recursive: c.recursive, Files: tree})
			if diff := cmp.Diff("", faults(t, err)); diff != "" {
				t.Fatal(diff)
			}
			if diff := cmp.Diff(c.want, names(set)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadFillsInDefaults(t *testing.T) {
	set, err := loadText("---\n" + rolloutDoc + "---\n# nothing here\n---\n" + doc("Timeout", "cart-timeout", "{target: {service: cart}, request: 2s}"))
	if err != nil {
		t.Fatal(err)
	}
	p := set.Policies[0]
	if p.Namespace != "shop" || p.Object.Meta().Namespace != "shop" {
		t.Errorf("namespace %q, %q", p.Namespace, p.Object.Meta().Namespace)
	}
	spec := set.Rollouts[0].Object.Spec
	got := map[string]any{
		"bake": spec.Bake.Text(), "deadline": spec.Deadline.Text(), "onFailure": spec.OnFailure, "ref": spec.Policies[0].Namespace,
		"weights": spec.Strategy.Canary.StepWeights, "minRequests": *spec.Analysis.MinRequests, "tick": spec.Analysis.Tick.Text(),
	}
	want := map[string]any{
		"bake": "5m", "deadline": "2h", "onFailure": "rollback", "ref": "shop",
		"weights": []v1alpha1.Percent{1, 50}, "minRequests": int32(20), "tick": "15s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSourceKnowsLines(t *testing.T) {
	set, err := loadText("# a comment\n\n" + timeoutDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"":                           "-:3",
		"spec.target.service":        "-:10",
		"spec.request":               "-:11",
		"spec.idle":                  "-:8",
		"spec.target.routes[0].path": "-:9",
		"nothing.like.this":          "-:3",
	}
	for field, at := range want {
		if got := set.Policies[0].Source.At(field); got != at {
			t.Errorf("At(%q) = %s, want %s", field, got, at)
		}
	}
}
