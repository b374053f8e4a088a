package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// Get returns the live object, or nil where there is none.
func (c *Cluster) Get(ctx context.Context, ref rollout.Ref) (*unstructured.Unstructured, error) {
	client, err := c.resource(ctx, ref.APIVersion, ref.Kind, ref.Namespace)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	obj, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, c.explain("reading "+ref.String(), err)
}

// Write sends one whole object.
//
// Create is a POST, the only request that the API server refuses atomically where the object exists: a server-side
// apply would merge into it (with a UID it refuses to create, without one it never refuses to merge). The fields are
// noted as ours all the same. Update and Delete carry the resourceVersion that they were decided on.
func (c *Cluster) Write(ctx context.Context, op rollout.Op, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	ref := rollout.RefOf(obj)
	client, err := c.resource(ctx, ref.APIVersion, ref.Kind, ref.Namespace)
	if err != nil {
		return nil, &rollout.RefusedError{Ref: ref, Err: err}
	}
	if op != rollout.Create && obj.GetResourceVersion() == "" {
		return nil, fmt.Errorf("writing %s: %s without a resourceVersion would overwrite what others changed", ref, op)
	}
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	out, err := send(ctx, client, op, obj, dry)
	return out, c.writeError(op, ref, dryRun, err)
}

func send(ctx context.Context, client dynamic.ResourceInterface, op rollout.Op, obj *unstructured.Unstructured, dry []string) (*unstructured.Unstructured, error) {
	switch op {
	case rollout.Create:
		fresh := obj.DeepCopy()
		fresh.SetResourceVersion("")
		fresh.SetUID("")
		fresh.SetManagedFields(nil)
		return client.Create(ctx, fresh, metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dry})
	case rollout.Update:
		return client.Update(ctx, obj, metav1.UpdateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dry})
	case rollout.Delete:
		return obj, client.Delete(ctx, obj.GetName(), metav1.DeleteOptions{Preconditions: preconditions(obj), DryRun: dry})
	}
	return nil, fmt.Errorf("no way to %s an object", op)
}

func preconditions(obj *unstructured.Unstructured) *metav1.Preconditions {
	version := obj.GetResourceVersion()
	p := &metav1.Preconditions{ResourceVersion: &version}
	if uid := obj.GetUID(); uid != "" {
		p.UID = &uid
	}
	return p
}

// writeError sorts what went wrong: somebody was faster, somebody said no, or nobody answered.
func (c *Cluster) writeError(op rollout.Op, ref rollout.Ref, dryRun bool, err error) error {
	if err == nil {
		return nil
	}
	if rights := rightsOf(fmt.Sprintf("%s %s", op, ref), err); rights != nil {
		return &rollout.RefusedError{Ref: ref, Forbidden: true, Err: rights}
	}
	doing := fmt.Sprintf("%s %s", op, ref)
	if m := webhookWords.FindStringSubmatch(err.Error()); m != nil {
		return &WebhookError{Doing: doing, Webhook: m[1], Err: err}
	}
	if !dryRun {
		doing += " (whether it took place is not known)"
	}
	status := apierrors.APIStatus(nil)
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), op != rollout.Create && apierrors.IsNotFound(err):
		return &rollout.ConflictError{Ref: ref, Err: err}
	case apierrors.IsUnauthorized(err), transient(err), !errors.As(err, &status):
		return c.explain(doing, err)
	default:
		return &rollout.RefusedError{Ref: ref, Err: err}
	}
}

// transient tells that the API server could not serve just now.
func transient(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || apierrors.IsUnexpectedServerError(err)
}
