package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestPathsOfObjects(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"core":    {"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns}}", "/api/v1/namespaces/ns/services/a"},
		"cluster": {"{apiVersion: v1, kind: Namespace, metadata: {name: a}}", "/api/v1/namespaces/a"},
		"group":   {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: ns}}", "/apis/apps/v1/namespaces/ns/deployments/a"},
		"ies": {"{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, metadata: {name: a}}",
			"/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/a"},
	} {
		objects, err := decode([]byte(tc.yaml))
		if err != nil || len(objects) != 1 {
			t.Fatalf("%s: %d objects, error %v", name, len(objects), err)
		}
		if got := path(objects[0]); got != tc.want {
			t.Errorf("%s: path %s, want %s", name, got, tc.want)
		}
	}
}

func TestDecodeSkipsEmptyDocuments(t *testing.T) {
	objects, err := decode([]byte("\n---\n# nothing\n---\napiVersion: v1\nkind: Pod\n---\n"))
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects, error %v; want 1", len(objects), err)
	}
}

func TestInsistOutlivesAnOutageButNotARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		got, err := insist(t.Context(), func() (int, error) {
			if calls++; calls < 100 {
				return 0, errors.New("connection refused")
			}
			return 7, nil
		})
		if got != 7 || err != nil || calls != 100 {
			t.Errorf("got %d, error %v after %d calls", got, err, calls)
		}
		refusal := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
		if _, err := insist(t.Context(), func() (int, error) { return 0, refusal }); !errors.Is(err, refusal) {
			t.Errorf("error %v, want the refusal", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := insist(ctx, func() (int, error) { return 0, errors.New("away") }); err == nil {
			t.Error("insist went on after the end of its context")
		}
	})
}
