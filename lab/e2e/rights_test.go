//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

var (
	accounts     = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	roles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	bindings     = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
	roleBindings = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
)

// rule is one rule of a role.
type rule struct {
	APIGroups []string `json:"apiGroups"`
	Resources []string `json:"resources"`
	Verbs     []string `json:"verbs"`
}

// documented are the rules of a role of docs/role.yaml.
func documented(t *testing.T, name string) []rule {
	t.Helper()
	text, err := os.ReadFile("../../docs/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var role struct {
			Metadata struct{ Name string }
			Rules    []rule
		}
		switch err := d.Decode(&role); {
		case err == io.EOF:
			t.Fatalf("docs/role.yaml has no role %s", name)
		case err != nil:
			t.Fatal(err)
		case role.Metadata.Name == name:
			return role.Rules
		}
	}
}

// single are rules of one right each.
func single(rules []rule) []rule {
	var out []rule
	for _, r := range rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				out = append(out, rule{r.APIGroups, []string{resource}, []string{verb}})
			}
		}
	}
	return out
}

// without takes the rights away that drop selects.
func without(rules []rule, drop func(rule) bool) []rule {
	return slices.DeleteFunc(single(rules), drop)
}

// accountsMade gives every account its own name: the API server takes a moment to forget a role, and to learn of one.
var accountsMade atomic.Int64 //nolint:gochecknoglobals // names must differ over all tests

// sentinel is a right that every account has, so that one can see when the API server knows of its role.
var sentinel = rule{[]string{"meshpol.lab"}, []string{"sentinels"}, []string{"get"}}

// account is the lab as seen by a ServiceAccount with exactly these rights; in some namespaces only, where they are
// given.
func (s *scene) account(rules []rule, namespaces ...string) trial.Lab {
	s.Helper()
	name := fmt.Sprintf("trial-%d", accountsMade.Add(1))
	const group = "rbac.authorization.k8s.io"
	s.object(accounts, name, "v1", "ServiceAccount", trial.Namespace, nil)
	s.object(roles, name, group+"/v1", "ClusterRole", "", map[string]any{"rules": anyOf(s.T, append(slices.Clone(rules), sentinel))})
	binding := map[string]any{
		"roleRef":  map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": trial.Namespace}},
	}
	if len(namespaces) == 0 {
		s.object(bindings, name, group+"/v1", "ClusterRoleBinding", "", binding)
	}
	for _, ns := range namespaces {
		s.object(roleBindings, name, group+"/v1", "RoleBinding", ns, binding)
	}
	request := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": int64(3600)}}}
	request.SetName(name)
	answer, err := s.lab.Client.Resource(accounts).Namespace(trial.Namespace).Create(s.ctx, request, metav1.CreateOptions{}, "token")
	s.must(err)
	token, _, _ := unstructured.NestedString(answer.Object, "status", "token")
	lab := s.as(s.withToken(token))
	for _, ns := range append(namespaces, trial.Namespace) {
		s.must(trial.Eventually(s.ctx, 30*time.Second, func() (bool, error) { return allowed(s.ctx, lab, sentinel, ns) }))
	}
	return lab
}

// allowed asks as an account.
func allowed(ctx context.Context, lab trial.Lab, r rule, namespace string) (bool, error) {
	config, err := clientcmd.BuildConfigFromFlags("", lab.Kubeconfig)
	if err != nil {
		return false, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return false, err
	}
	ask := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{"group": r.APIGroups[0], "resource": r.Resources[0], "verb": r.Verbs[0], "namespace": namespace}}}}
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}
	answer, err := client.Resource(reviews).Create(ctx, ask, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	yes, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return yes, err
}

// object makes an object that goes with the test.
func (s *scene) object(r schema.GroupVersionResource, name, apiVersion, kind, namespace string, content map[string]any) {
	s.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	for k, v := range content {
		o.Object[k] = v
	}
	o.SetName(name)
	o.SetNamespace(namespace)
	api := s.lab.Client.Resource(r).Namespace(namespace)
	_ = api.Delete(s.ctx, name, metav1.DeleteOptions{}) // of an earlier run that was killed
	_, err := api.Create(s.ctx, o, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { _ = api.Delete(context.WithoutCancel(s.ctx), name, metav1.DeleteOptions{}) })
}

func anyOf(t *testing.T, v any) any {
	t.Helper()
	var out any
	if err := json.Unmarshal([]byte(jsonOf(t, v)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLeastRole runs whole canaries under exactly the role that the docs name.
func TestLeastRole(t *testing.T) {
	each(t, map[string][]string{"by request": {"--by", "request"}, "by instance": {"--by", "instance"}}, func(t *testing.T, by []string) {
		s := newScene(t, 100, owned)
		lab := s.account(documented(t, "meshpol"))
		r := s.plain(lab, 0, short("rollout", append(by, "-f", s.timeout("cart"))...)...)
		s.says(r, "proxies cannot be read directly (no right to pods/proxy): breakage is found by the judge alone, in 2s")
		s.plain(lab, 0, "status", "-n", trial.Namespace)
		s.plain(lab, 0, "rollback", "cart-timeout", "-n", trial.Namespace)
		s.untouched()
		s.noErrors(s.records())
		s.gitOpsGoesOn("")
	})
}

// TestLeastRoleInNamespaces is the same with the role bound in the target's and the control plane's namespace alone.
func TestLeastRoleInNamespaces(t *testing.T) {
	s := newScene(t, 100, nil)
	lab := s.account(documented(t, "meshpol"), trial.Namespace, "istio-system")
	s.plain(lab, 0, short("rollout", "-f", s.timeout("cart"))...)
	s.plain(lab, 0, "rollback", "cart-timeout", "-n", trial.Namespace)
	s.untouched()
	s.noErrors(s.records())
}

// TestEveryRightIsNeeded takes each right of the least role away in turn: the one that is missing is named, and nothing
// is written.
func TestEveryRightIsNeeded(t *testing.T) {
	s := newScene(t, 0, owned)
	s.service("other", "http", map[string]any{"app": "cart"})
	const pool = "  maxConnections: 500\n"
	usual := []string{"rollout", "-f", s.timeout("cart")}
	other := []string{"rollout", "-f", s.timeout("other")}
	breaker := []string{"rollout", "-f", s.file("CircuitBreaker", "cart-breaker", "cart", pool)}
	otherBreaker := []string{"rollout", "-f", s.file("CircuitBreaker", "other-breaker", "other", pool)}
	needs := map[string][]string{
		"create virtualservices": other, "delete virtualservices": other,
		"get destinationrules": breaker, "update destinationrules": breaker, "patch destinationrules": breaker,
		"create destinationrules": otherBreaker, "delete destinationrules": otherBreaker,
		"patch pods":  append(slices.Clone(usual), "--by", "instance"),
		"list leases": {"status", "-n", trial.Namespace},
	}
	least := single(documented(t, "meshpol"))
	for _, r := range least {
		right := r.Verbs[0] + " " + r.Resources[0]
		if right == "patch leases" {
			continue // only to ask the runner of somebody else's rollout: TestAskingNeedsPatch
		}
		args := needs[right]
		if args == nil {
			args = usual
		}
		lab := s.account(without(least, func(o rule) bool { return jsonOf(t, o) == jsonOf(t, r) }))
		got := s.plain(lab, 3, args...)
		group := ""
		if r.APIGroups[0] != "" {
			group = "." + r.APIGroups[0]
		}
		name, sub, _ := strings.Cut(r.Resources[0], "/")
		if sub != "" {
			sub = "/" + sub
		}
		s.says(got, "the right to "+r.Verbs[0]+" "+name+group+sub)
		s.says(got, "kubectl auth can-i "+r.Verbs[0]+" ")
	}
	s.nothingWritten()
}

// TestOnlyReading names all that is missing at once.
func TestOnlyReading(t *testing.T) {
	s := newScene(t, 0, userCart)
	reading := without(documented(t, "meshpol"), func(r rule) bool { return !slices.Contains([]string{"get", "list"}, r.Verbs[0]) })
	lab := s.account(append(reading, documented(t, "meshpol-view")...))
	file := s.timeout("cart")
	for _, command := range []string{"rollout", "apply"} {
		r := s.plain(lab, 3, command, "-f", file)
		for _, text := range []string{"update virtualservices.networking.istio.io in namespace shop", "create leases.coordination.k8s.io", "create pods/portforward in namespace istio-system", "nothing was written"} {
			s.says(r, text)
		}
	}
	s.plain(lab, 0, "plan", "-f", file)
	s.plain(lab, 0, "validate", "-f", file)
	s.plain(lab, 0, "status", "-n", trial.Namespace)
	s.nothingWritten()
}

// TestAskingNeedsPatch: whoever may only look cannot stop the rollout of somebody else, and hears why.
func TestAskingNeedsPatch(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
	s.until(r, judged("step 0"))
	lab := s.account(without(documented(t, "meshpol"), func(r rule) bool { return r.Verbs[0] == "patch" && r.Resources[0] == "leases" }))
	s.says(s.plain(lab, 3, "rollout", "abort", "cart-timeout", "-n", trial.Namespace), "the right to patch leases.coordination.k8s.io")
	lab = s.account(documented(t, "meshpol"))
	s.plain(lab, 0, "rollout", "abort", "cart-timeout", "-n", trial.Namespace)
	s.ends(r, 5)
	s.untouched()
	s.noErrors(s.records())
}
