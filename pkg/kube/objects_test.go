package kube

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func TestWriteCarriesWhatItWasDecidedOn(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	ctx := t.Context()
	ref := rollout.RefOf(virtualService("cart", ""))
	if o, err := c.Get(ctx, ref); o != nil || err != nil {
		t.Fatalf("get of nothing: %v, %v", o, err)
	}
	made, err := c.Write(ctx, rollout.Create, virtualService("cart", "one"), false)
	if err != nil {
		t.Fatal(err)
	}
	var conflict *rollout.ConflictError
	if _, err := c.Write(ctx, rollout.Create, virtualService("cart", "two"), false); !errors.As(err, &conflict) || conflict.Ref != ref {
		t.Fatalf("creating twice: %v", err)
	}
	stale := made.DeepCopy()
	changed := made.DeepCopy()
	changed.Object["spec"] = map[string]any{"field": "two"}
	if _, err := c.Write(ctx, rollout.Update, changed, false); err != nil {
		t.Fatal(err)
	}
	for _, op := range []rollout.Op{rollout.Update, rollout.Delete} {
		if _, err := c.Write(ctx, op, stale, false); !errors.As(err, &conflict) {
			t.Errorf("%s with an old version: %v", op, err)
		}
	}
	live, err := c.Get(ctx, ref)
	if err != nil || field(live) != "two" {
		t.Fatalf("live %v, %v", live, err)
	}
	if _, err := c.Write(ctx, rollout.Delete, live, false); err != nil {
		t.Fatal(err)
	}
	for _, op := range []rollout.Op{rollout.Update, rollout.Delete} {
		if _, err := c.Write(ctx, op, live, false); !errors.As(err, &conflict) {
			t.Errorf("%s of what is gone: %v", op, err)
		}
	}
	if s.Object("virtualservices", "shop", "cart") != nil {
		t.Error("still there")
	}
}

func TestWriteWithoutVersionIsRefusedHere(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	for _, op := range []rollout.Op{rollout.Update, rollout.Delete} {
		_, err := c.Write(t.Context(), op, virtualService("cart", "one"), false)
		if err == nil || !strings.Contains(err.Error(), "resourceVersion") {
			t.Errorf("%s: %v", op, err)
		}
	}
	if s.Count("PUT", "")+s.Count("DELETE", "") > 0 {
		t.Error("something was sent")
	}
}

func TestDryRunStoresNothing(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	ctx := t.Context()
	if _, err := c.Write(ctx, rollout.Create, virtualService("cart", "one"), true); err != nil {
		t.Fatal(err)
	}
	if s.Object("virtualservices", "shop", "cart") != nil {
		t.Fatal("a dry run created it")
	}
	made, err := c.Write(ctx, rollout.Create, virtualService("cart", "one"), false)
	if err != nil {
		t.Fatal(err)
	}
	changed := made.DeepCopy()
	changed.Object["spec"] = map[string]any{"field": "two"}
	if out, err := c.Write(ctx, rollout.Update, changed, true); err != nil || field(out) != "two" {
		t.Fatalf("dry update: %v, %v", out, err)
	}
	if _, err := c.Write(ctx, rollout.Delete, made, true); err != nil {
		t.Fatal(err)
	}
	if live := s.Object("virtualservices", "shop", "cart"); live == nil || field(live) != "one" {
		t.Fatalf("a dry run changed it: %v", live)
	}
	for _, r := range s.Requests() {
		if r.Method != "GET" && r.Method != "DELETE" && (r.Manager != FieldManager || !strings.Contains(r.Query, "fieldValidation=Strict")) {
			t.Errorf("%s %s?%s: no manager, or not strict", r.Method, r.Path, r.Query)
		}
	}
}

func TestRefusalsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		code      int
		reason    metav1.StatusReason
		message   string
		forbidden bool
		wants     []string
	}{
		"webhook": {400, metav1.StatusReasonBadRequest, `admission webhook "validation.istio.io" denied the request: configuration is invalid: attempts cannot be negative`, false, []string{"attempts cannot be negative", "VirtualService shop/cart"}},
		"schema":  {422, metav1.StatusReasonInvalid, `VirtualService "cart" is invalid: spec.http[0].timeout: Invalid value`, false, []string{"spec.http[0].timeout"}},
		"field":   {400, metav1.StatusReasonBadRequest, `strict decoding error: unknown field "spec.field"`, false, []string{"unknown field"}},
		"policy":  {403, metav1.StatusReasonForbidden, `virtualservices "cart" is forbidden: ValidatingAdmissionPolicy 'meshpol-gate' denied request: approval missing`, false, []string{"approval missing"}},
		"rights": {403, metav1.StatusReasonForbidden, `virtualservices.networking.istio.io is forbidden: User "ci" cannot create resource "virtualservices" in API group "networking.istio.io" in the namespace "shop"`, true,
			[]string{"missing the right to create virtualservices.networking.istio.io in namespace shop", "kubectl auth can-i create virtualservices.networking.istio.io -n shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := serve(t, fakekube.Istio()...)
			s.Fail("POST", "virtualservices", -1, c.code, c.reason, c.message)
			_, err := client.Write(t.Context(), rollout.Create, virtualService("cart", "one"), false)
			var refused *rollout.RefusedError
			if !errors.As(err, &refused) || refused.Forbidden != c.forbidden {
				t.Fatalf("%T %v", err, err)
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestTroubleOfTheServerIsNoRefusal(t *testing.T) {
	for name, code := range map[string]int{"500": 500, "503": 503, "504": 504} {
		t.Run(name, func(t *testing.T) {
			s, c := serve(t, fakekube.Istio()...)
			reason := map[int]metav1.StatusReason{500: metav1.StatusReasonInternalError, 503: metav1.StatusReasonServiceUnavailable, 504: metav1.StatusReasonTimeout}[code]
			s.Fail("POST", "virtualservices", -1, code, reason, "etcdserver: request timed out")
			_, err := c.Write(t.Context(), rollout.Create, virtualService("cart", "one"), false)
			var refused *rollout.RefusedError
			var conflict *rollout.ConflictError
			if err == nil || errors.As(err, &refused) || errors.As(err, &conflict) || !strings.Contains(err.Error(), "not known") {
				t.Fatalf("%T %v", err, err)
			}
		})
	}
}

func TestTooManyRequestsAreRepeated(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	s.Handle("POST", "virtualservices", 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := c.Write(t.Context(), rollout.Create, virtualService("cart", "one"), false); err != nil {
		t.Fatal(err)
	}
}

// TestWebhookThatDoesNotAnswer: the write is asked for again as soon as the webhook is back, so it is no refusal, and it
// surely did not take place.
func TestWebhookThatDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct{ webhook, says string }{
		"Istio's own": {"validation.istio.io", "is istiod running?"},
		"another's":   {"check.example.com", "validatingwebhookconfigurations"},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := serve(t, fakekube.Istio()...)
			s.Fail("POST", "virtualservices", -1, 500, metav1.StatusReasonInternalError,
				`Internal error occurred: failed calling webhook "`+c.webhook+`": failed to call webhook: connection refused`)
			_, err := client.Write(t.Context(), rollout.Create, virtualService("cart", "one"), false)
			var refused *rollout.RefusedError
			var webhook *WebhookError
			if errors.As(err, &refused) || !errors.As(err, &webhook) {
				t.Fatalf("%T %v", err, err)
			}
			for _, text := range []string{"create VirtualService shop/cart: the webhook " + c.webhook + " does not answer", c.says} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("it does not say %q: %v", text, err)
				}
			}
		})
	}
}

func TestDryRunThatFailedChangedNothing(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	s.Fail("POST", "virtualservices", -1, 503, metav1.StatusReasonServiceUnavailable, "etcd is away")
	for dryRun, doubt := range map[bool]bool{true: false, false: true} {
		_, err := c.Write(t.Context(), rollout.Create, virtualService("cart", "one"), dryRun)
		if got := strings.Contains(err.Error(), "whether it took place is not known"); got != doubt {
			t.Errorf("dry run %v: %v", dryRun, err)
		}
	}
}

func TestKindThatIsNotServed(t *testing.T) {
	_, c := serve(t)
	_, err := c.Get(t.Context(), rollout.RefOf(virtualService("cart", "")))
	var missing *NoAPIError
	if !errors.As(err, &missing) || missing.Kind != "VirtualService" {
		t.Fatalf("%v", err)
	}
	var refused *rollout.RefusedError
	if _, err := c.Write(t.Context(), rollout.Create, virtualService("cart", ""), false); !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
}

func entry(manager, operation, field string) map[string]any {
	return map[string]any{"manager": manager, "operation": operation, "apiVersion": "networking.istio.io/v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:spec": map[string]any{field: map[string]any{}}}}
}

func TestGiveBackChangesOwnersAndNothingElse(t *testing.T) {
	s, c := serve(t, fakekube.Istio()...)
	o := virtualService("cart", "ours")
	managed := []any{entry("flux", "Apply", "f:http"), entry(FieldManager, "Update", "f:http"), entry("argo", "Update", "f:hosts")}
	if err := unstructured.SetNestedSlice(o.Object, managed, "metadata", "managedFields"); err != nil {
		t.Fatal(err)
	}
	s.Add(o)
	raced := false
	s.Before = func(r *http.Request) {
		if r.Method == "PATCH" && !raced {
			raced = true
			s.Add(o) // somebody writes in between: a conflict
		}
	}
	former := []any{entry("flux", "Apply", "f:hosts")}
	if err := c.GiveBack(t.Context(), rollout.RefOf(o), former); err != nil {
		t.Fatal(err)
	}
	live := s.Object("virtualservices", "shop", "cart")
	got, _, _ := unstructured.NestedSlice(live.Object, "metadata", "managedFields")
	if len(got) != 2 || field(live) != "ours" {
		t.Fatalf("owners %v, spec %s", got, field(live))
	}
	fields := got[0].(map[string]any)["fieldsV1"].(map[string]any)["f:spec"].(map[string]any)
	if fields["f:http"] == nil || fields["f:hosts"] == nil {
		t.Errorf("flux owns %v: it lost a field", fields)
	}
	if n := s.Count("PATCH", "virtualservices"); n != 2 {
		t.Errorf("%d patches", n)
	}
}

func TestGiveBackOfNothing(t *testing.T) {
	_, c := serve(t, fakekube.Istio()...)
	ref := rollout.RefOf(virtualService("cart", ""))
	if err := c.GiveBack(t.Context(), ref, nil); err != nil {
		t.Error(err)
	}
	if err := c.GiveBack(t.Context(), ref, []any{entry("flux", "Apply", "f:http")}); err != nil {
		t.Error(err)
	}
}
