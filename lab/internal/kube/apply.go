package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// fieldManager owns what the lab applies.
const fieldManager = "meshpol-lab"

// clusterScoped lists the kinds in the lab's manifests that belong to no namespace.
var clusterScoped = map[string]bool{
	"Namespace": true, "Node": true, "ClusterRole": true, "ClusterRoleBinding": true,
	"CustomResourceDefinition": true, "ValidatingWebhookConfiguration": true,
	"MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true,
}

// Apply writes every object of a stream of YAML documents by server-side apply.
func (c *Client) Apply(ctx context.Context, documents []byte) error {
	objects, err := decode(documents)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := c.applyPatiently(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// The patience with an API server whose webhook is not there yet: istiod is ready a little before the API server has
// the webhook's certificate from it.
const (
	webhookPatience = 30 * time.Second
	webhookPause    = 250 * time.Millisecond
)

func (c *Client) applyPatiently(ctx context.Context, o *unstructured.Unstructured) error {
	for end := time.Now().Add(webhookPatience); ; {
		err := c.apply(ctx, o)
		if err == nil || !(apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(webhookPause):
		}
	}
}

// Scale sets the number of replicas of a Deployment.
func (c *Client) Scale(ctx context.Context, namespace, name string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	err := c.any.Patch(types.MergePatchType).
		AbsPath("/apis/apps/v1/namespaces", namespace, "deployments", name, "scale").Body(patch).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("scaling Deployment %s/%s to %d: %w", namespace, name, replicas, err)
	}
	return nil
}

func (c *Client) apply(ctx context.Context, o *unstructured.Unstructured) error {
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = c.any.Patch(types.ApplyPatchType).AbsPath(path(o)).
		Param("fieldManager", fieldManager).Param("force", "true").Body(body).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// path is the address of an object. Every kind that the lab applies has a regular plural.
func path(o *unstructured.Unstructured) string {
	prefix := "/apis/" + o.GetAPIVersion()
	if o.GetAPIVersion() == "v1" {
		prefix = "/api/v1"
	}
	if !clusterScoped[o.GetKind()] {
		prefix += "/namespaces/" + o.GetNamespace()
	}
	return prefix + "/" + plural(o.GetKind()) + "/" + o.GetName()
}

func plural(kind string) string {
	word := strings.ToLower(kind)
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		return stem + "ies"
	}
	if strings.HasSuffix(word, "s") {
		return word + "es"
	}
	return word + "s"
}

func decode(documents []byte) ([]*unstructured.Unstructured, error) {
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(documents)))
	var objects []*unstructured.Unstructured
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &o.Object); err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
