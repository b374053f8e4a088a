package kube

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshpol/meshpol/internal/fakekube"
)

func TestNoAnswerSaysWhatToDo(t *testing.T) {
	s := fakekube.New()
	url := s.URL
	s.Close()
	c := client(t, &rest.Config{Host: url})
	_, err := c.Pods(t.Context(), "shop")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "is the context right?") || !strings.Contains(err.Error(), url) {
		t.Fatalf("%T %v", err, err)
	}
}

func TestSlowServerIsTold(t *testing.T) {
	s := fakekube.New()
	defer s.Close()
	s.Handle("GET", "pods", -1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c, err := New(&rest.Config{Host: s.URL}, Options{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Pods(t.Context(), "shop")
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "VPN") {
		t.Fatalf("%T %v", err, err)
	}
}

func TestCancelledIsCancelled(t *testing.T) {
	_, c := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Pods(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

func TestExpiredToken(t *testing.T) {
	s, c := serve(t)
	s.Fail("GET", "pods", -1, 401, metav1.StatusReasonUnauthorized, "Unauthorized")
	_, err := c.Pods(t.Context(), "")
	var credentials *CredentialsError
	if !errors.As(err, &credentials) || !strings.Contains(err.Error(), "log in again") {
		t.Fatalf("%T %v", err, err)
	}
}

func TestUnknownAuthority(t *testing.T) {
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	c := client(t, &rest.Config{Host: tls.URL})
	_, err := c.Pods(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "certificate-authority-data") {
		t.Fatalf("%v", err)
	}
}

func TestMissingRightNamesTheQuestion(t *testing.T) {
	s, c := serve(t)
	s.Deny("list", "", "pods", "")
	_, err := c.Pods(t.Context(), "")
	var rights *RightsError
	if !errors.As(err, &rights) || rights.Check() != "kubectl auth can-i list pods --all-namespaces" {
		t.Fatalf("%T %v", err, err)
	}
	portforward := &RightsError{Verb: "create", Resource: "pods/portforward", Namespace: "istio-system"}
	if got := portforward.Check(); got != "kubectl auth can-i create pods/portforward -n istio-system" {
		t.Error(got)
	}
}

func TestExplainConfig(t *testing.T) {
	if ExplainConfig(nil) != nil {
		t.Error("nil is an error")
	}
	_, empty := clientcmd.BuildConfigFromFlags("", "")
	if empty == nil {
		t.Skip("runs in a cluster")
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"none":    {empty, "KUBECONFIG"},
		"context": {errors.New(`context "prod" does not exist`), "get-contexts"},
		"broken":  {errors.New("yaml: line 3"), "kubectl config view"},
	} {
		if err := ExplainConfig(c.err); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	_, c := serve(t, fakekube.Istio()...)
	ctx := t.Context()
	if err := c.Label(ctx, "shop", "cart-1", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pods(ctx, ""); err != nil {
		t.Fatal(err)
	}
	got := c.Requests()
	if got["patch pods"] != 1 || got["list pods"] != 1 || len(got) != 2 {
		t.Errorf("%v", got)
	}
}
