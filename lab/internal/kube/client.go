// Package kube is the lab's own small client of its API server: typed core objects for the node agent, and
// server-side apply for the lab's manifests.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Options say how to reach the API server.
type Options struct {
	Host   string
	Token  string
	CAData []byte
	// Dial connects to Host; nil dials from the calling process's own network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client talks to the API server.
type Client struct {
	core *rest.RESTClient
	any  *rest.RESTClient
}

// New returns a client.
func New(o Options) (*Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, authv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config := &rest.Config{
		Host: o.Host, BearerToken: o.Token, Dial: o.Dial, QPS: 200, Burst: 400,
		TLSClientConfig: rest.TLSClientConfig{CAData: o.CAData},
		ContentConfig:   rest.ContentConfig{NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion()},
	}
	core, err := restClient(config, corev1.SchemeGroupVersion, "/api")
	if err != nil {
		return nil, err
	}
	anything, err := restClient(config, schema.GroupVersion{}, "/")
	if err != nil {
		return nil, err
	}
	return &Client{core: core, any: anything}, nil
}

func restClient(config *rest.Config, gv schema.GroupVersion, path string) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion = &gv
	c.APIPath = path
	build := rest.RESTClientFor
	if gv.Empty() {
		build = rest.UnversionedRESTClientFor
	}
	client, err := build(c)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	return client, nil
}

// Ready returns nil when the API server says that it is ready.
func (c *Client) Ready(ctx context.Context) error {
	return c.any.Get().AbsPath("/readyz").Do(ctx).Error()
}

// RegisterNode creates the node, with its status; one that exists is left alone.
func (c *Client) RegisterNode(ctx context.Context, node *corev1.Node) error {
	err := c.core.Post().Resource("nodes").Body(node).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("registering the node: %w", err)
	}
	return nil
}

// Bind gives a pod to a node.
func (c *Client) Bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	return c.core.Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("binding").
		Body(binding).Do(ctx).Error()
}

// PatchPodStatus replaces the given parts of a pod's status.
func (c *Client) PatchPodStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status,
	})
	if err != nil {
		return err
	}
	return c.core.Patch(types.MergePatchType).Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
		SubResource("status").Body(patch).Do(ctx).Error()
}

// RemovePod deletes a pod at once, as a node does when its containers have ended.
func (c *Client) RemovePod(ctx context.Context, pod *corev1.Pod) error {
	zero := int64(0)
	options := &metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &pod.UID}}
	return c.core.Delete().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).Body(options).Do(ctx).Error()
}

// Token asks for a token of a ServiceAccount; audience may be empty for the API server itself.
func (c *Client) Token(ctx context.Context, namespace, account, audience string, seconds int64) (string, error) {
	req := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	req.TypeMeta = metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"}
	if audience != "" {
		req.Spec.Audiences = []string{audience}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return "", err
	}
	raw, err := c.any.Post().SetHeader("Content-Type", "application/json").
		AbsPath("/api/v1/namespaces", namespace, "serviceaccounts", account, "token").Body(body).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for a token of ServiceAccount %s/%s: %w", namespace, account, err)
	}
	var answer authv1.TokenRequest
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", fmt.Errorf("reading a token of ServiceAccount %s/%s: %w", namespace, account, err)
	}
	return answer.Status.Token, nil
}

// ConfigMap reads one ConfigMap.
func (c *Client) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := c.core.Get().Namespace(namespace).Resource("configmaps").Name(name).Do(ctx).Into(cm)
	return cm, err
}
