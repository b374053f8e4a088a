package kube

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// lacking answers access reviews: what is in words is not allowed.
func lacking(s *fakekube.Server, words ...string) {
	s.Handle("POST", "selfsubjectaccessreviews", -1, func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				ResourceAttributes struct{ Verb, Resource, Subresource, Namespace, Name string }
			}
		}
		_ = json.NewDecoder(r.Body).Decode(&review)
		a := review.Spec.ResourceAttributes
		text := strings.Join([]string{a.Verb, a.Resource, a.Subresource, a.Namespace, a.Name}, " ")
		allowed := true
		for _, word := range words {
			allowed = allowed && !strings.HasPrefix(text, word)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"allowed": allowed}})
	})
}

func TestNeedNamesAllThatIsMissing(t *testing.T) {
	s, c := serve(t)
	lacking(s, "patch controllerrevisions", "create leases")
	err := c.Need(t.Context(), append(StateAccess("shop"), StateAccess("shop")...))
	var missing *MissingError
	if !errors.As(err, &missing) || len(missing.Missing) != 2 {
		t.Fatalf("%v", err)
	}
	const want = "looking for the rights that this needs: missing the right to create leases.coordination.k8s.io in namespace shop, " +
		"to patch controllerrevisions.apps in namespace shop; see `kubectl auth can-i create leases.coordination.k8s.io -n shop`, " +
		"and docs/role.yaml for the role that is needed"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNeedOfWhatIsThere(t *testing.T) {
	s, c := serve(t)
	if err := c.Need(t.Context(), StateAccess("shop")); err != nil {
		t.Error(err)
	}
	s.Fail("POST", "selfsubjectaccessreviews", -1, 500, metav1.StatusReasonInternalError, "etcd is away")
	if err := c.Need(t.Context(), StateAccess("shop")); err == nil {
		t.Error("an API server that fails was taken for one that agrees")
	}
}

// TestNeedWithoutReviews: a cluster in which nobody may ask is one in which the run finds out by itself.
func TestNeedWithoutReviews(t *testing.T) {
	s, c := serve(t)
	s.Deny("create", "authorization.k8s.io", "selfsubjectaccessreviews", "")
	if err := c.Need(t.Context(), StateAccess("shop")); err != nil {
		t.Error(err)
	}
}

func TestObjectAccess(t *testing.T) {
	_, c := serve(t, fakekube.Istio()...)
	rights, err := c.ObjectAccess(t.Context(), rollout.RefOf(virtualService("cart", "")), "update", "create")
	if err != nil || len(rights) != 2 {
		t.Fatalf("%v %v", rights, err)
	}
	if r := rights[0]; r.Name != "cart" || r.String() != "update virtualservices.networking.istio.io in namespace shop" {
		t.Errorf("%+v: %s", r, r)
	}
	if r := rights[1]; r.Name != "" {
		t.Errorf("%+v: the API server does not know the name of what is created", r)
	}
	_, bare := serve(t)
	var missing *NoAPIError
	if _, err := bare.ObjectAccess(t.Context(), rollout.RefOf(virtualService("cart", "")), "get"); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

func TestPodAccess(t *testing.T) {
	s, c := serve(t)
	rights, err := c.PodAccess(t.Context(), []string{"shop", "web"})
	if err != nil || len(rights) != 1 || rights[0].Verb != "list" {
		t.Errorf("%v %v", rights, err)
	}
	lacking(s, "patch pods   ")
	rights, err = c.PodAccess(t.Context(), []string{"shop", "web"})
	if err != nil || len(rights) != 3 || rights[2] != (Access{Verb: "patch", Resource: "pods", Namespace: "web"}) {
		t.Errorf("%v %v", rights, err)
	}
}
