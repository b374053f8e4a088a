package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
)

// ConfigError says that there is no usable kubeconfig. Callers branch on it to exit as for wrong usage.
type ConfigError struct {
	Err  error
	Next string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("reading the kubeconfig: %v; %s", e.Err, e.Next)
}

// Unwrap is the error below.
func (e *ConfigError) Unwrap() error { return e.Err }

// UnreachableError says that the API server did not answer. Callers branch on it to try again.
type UnreachableError struct {
	Doing, Server string
	Err           error
	Next          string
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s: no answer from the API server %s: %v; %s", e.Doing, e.Server, e.Err, e.Next)
}

// Unwrap is the network's error.
func (e *UnreachableError) Unwrap() error { return e.Err }

// CredentialsError says that the API server does not know the caller.
type CredentialsError struct {
	Doing, Server string
	Err           error
}

func (e *CredentialsError) Error() string {
	return fmt.Sprintf("%s: the API server %s does not accept these credentials (%v); they may have expired: log in again and try `kubectl auth whoami`", e.Doing, e.Server, e.Err)
}

// Unwrap is the API server's error.
func (e *CredentialsError) Unwrap() error { return e.Err }

// RightsError says which right is missing. Callers branch on it to make a finding of it.
type RightsError struct {
	Doing                            string
	Verb, Resource, Group, Namespace string
	Err                              error
}

func (e *RightsError) Error() string {
	return fmt.Sprintf("%s: missing %s; see `%s`, and docs/role.yaml for the role that is needed", e.Doing, e.Right(), e.Check())
}

// Right is the right in words: "the right to list pods in namespace shop".
func (e *RightsError) Right() string {
	where := "in all namespaces"
	if e.Namespace != "" {
		where = "in namespace " + e.Namespace
	}
	return fmt.Sprintf("the right to %s %s %s", e.Verb, e.resource(), where)
}

// Unwrap is the API server's error.
func (e *RightsError) Unwrap() error { return e.Err }

func (e *RightsError) resource() string {
	name, sub, _ := strings.Cut(e.Resource, "/")
	if e.Group != "" {
		name += "." + e.Group
	}
	if sub != "" {
		name += "/" + sub
	}
	return name
}

// Check is the command that shows whether the right is there.
func (e *RightsError) Check() string {
	if e.Namespace == "" {
		return fmt.Sprintf("kubectl auth can-i %s %s --all-namespaces", e.Verb, e.resource())
	}
	return fmt.Sprintf("kubectl auth can-i %s %s -n %s", e.Verb, e.resource(), e.Namespace)
}

// WebhookError says that the API server takes no write because a webhook that it must ask does not answer. Nothing was
// written; as soon as the webhook is back the same write goes through.
type WebhookError struct {
	Doing, Webhook string
	Err            error
}

func (e *WebhookError) Error() string {
	next := "look at what serves it (kubectl get validatingwebhookconfigurations)"
	if strings.HasSuffix(e.Webhook, "istio.io") {
		next = "Istio's own check is asked before every write: is istiod running? (kubectl get pods -A -l " + istiodLabel + ")"
	}
	return fmt.Sprintf("%s: the webhook %s does not answer, so that the API server takes no write: %v; %s", e.Doing, e.Webhook, e.Err, next)
}

// Unwrap is the API server's error.
func (e *WebhookError) Unwrap() error { return e.Err }

// webhookWords are how the API server says that a webhook did not answer; one that says no is "denied the request".
var webhookWords = regexp.MustCompile(`failed calling webhook "([^"]+)"`)

// NoAPIError says that the cluster does not serve a kind.
type NoAPIError struct{ APIVersion, Kind, Server string }

func (e *NoAPIError) Error() string {
	return fmt.Sprintf("the cluster %s does not serve %s %s; see `kubectl api-resources`", e.Server, e.APIVersion, e.Kind)
}

// NoMeshError says that no service mesh was found.
type NoMeshError struct{ Mesh, Server string }

func (e *NoMeshError) Error() string {
	mesh := "Istio or Linkerd"
	if e.Mesh != "" {
		mesh = strings.ToUpper(e.Mesh[:1]) + e.Mesh[1:]
	}
	return fmt.Sprintf("no %s in the cluster %s: its custom resources are not installed; is the context right? (kubectl config current-context)", mesh, e.Server)
}

// ExplainConfig says what is wrong with a kubeconfig and what to do about it.
func ExplainConfig(err error) error {
	switch {
	case err == nil:
		return nil
	case clientcmd.IsEmptyConfig(err) || strings.Contains(err.Error(), "no configuration has been provided"):
		return &ConfigError{Err: errors.New("there is none"), Next: "name one with --kubeconfig or KUBECONFIG, or log in to the cluster"}
	case clientcmd.IsContextNotFound(err) || strings.Contains(err.Error(), "does not exist"):
		return &ConfigError{Err: err, Next: "`kubectl config get-contexts` lists the contexts there are"}
	case errors.Is(err, fs.ErrNotExist):
		return &ConfigError{Err: err, Next: "name the right file with --kubeconfig or KUBECONFIG"}
	default:
		return &ConfigError{Err: err, Next: "`kubectl config view` shows what is read"}
	}
}

// rbacWords are how the API server's authorizer says no; a webhook's refusal has the same status and other words.
var rbacWords = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]*)"| at the cluster scope)?`)

// explain turns a client's error into one that says what was being done and what to do next.
func (c *Cluster) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if rights := rightsOf(doing, err); rights != nil {
		return rights
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case apierrors.IsUnauthorized(err) || strings.Contains(err.Error(), "getting credentials:"):
		return &CredentialsError{Doing: doing, Server: c.Server(), Err: err}
	case unreachable(err):
		return &UnreachableError{Doing: doing, Server: c.Server(), Err: bare(err), Next: reachNext(err)}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func rightsOf(doing string, err error) *RightsError {
	if !apierrors.IsForbidden(err) {
		return nil
	}
	m := rbacWords.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	return &RightsError{Doing: doing, Verb: m[1], Resource: m[2], Group: m[3], Namespace: m[4], Err: err}
}

// unreachable tells whether the request got no answer of an API server at all.
func unreachable(err error) bool {
	var asURL *url.Error
	var asNet net.Error
	return errors.As(err, &asURL) || errors.As(err, &asNet) || errors.Is(err, context.DeadlineExceeded)
}

// bare is the network's own error without the long request URL around it.
func bare(err error) error {
	var asURL *url.Error
	if errors.As(err, &asURL) {
		return asURL.Err
	}
	return err
}

func reachNext(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify):
		return "its certificate does not fit the kubeconfig's certificate-authority-data"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it is slow or the network drops packets: is a VPN needed?"
	default:
		return "is it running, and is the context right? (kubectl cluster-info)"
	}
}
