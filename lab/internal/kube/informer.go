package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// reconnectEvery is how often an informer tries to reach an API server that is away. client-go's own pauses grow to
// half a minute, and with them the time that a lab needs to recover from a planned outage.
const reconnectEvery = 300 * time.Millisecond

// Informer watches all objects of one core resource, such as pods.
func (c *Client) Informer(resource string, example runtime.Object) cache.SharedIndexInformer {
	plain := cache.NewListWatchFromClient(c.core, resource, metav1.NamespaceAll, fields.Everything())
	patient := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return insist(ctx, func() (runtime.Object, error) { return plain.ListWithContext(ctx, o) })
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return insist(ctx, func() (watch.Interface, error) { return plain.WatchWithContext(ctx, o) })
		},
	}
	return cache.NewSharedIndexInformer(patient, example, 0, cache.Indexers{})
}

// insist repeats a call until the API server gives an answer, be it a refusal.
func insist[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for {
		answer, err := call()
		if err == nil || refused(err) || ctx.Err() != nil {
			return answer, err
		}
		select {
		case <-time.After(reconnectEvery):
		case <-ctx.Done():
			return answer, err
		}
	}
}

// refused tells an API server's own answer from a failure to reach one that works.
func refused(err error) bool {
	reason := apierrors.ReasonForError(err)
	return reason != metav1.StatusReasonUnknown && !apierrors.IsInternalError(err) &&
		!apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err)
}
