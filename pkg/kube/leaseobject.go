package kube

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// What a Lease of ours bears.
const (
	annState    = "meshpol.io/state"
	annTarget   = "meshpol.io/target"
	annPhase    = "meshpol.io/phase"
	annRequest  = "meshpol.io/request"
	annTakeover = "meshpol.io/takeover"

	labelManaged = "app.kubernetes.io/managed-by"
)

// LeaseTTL is how long a lock lives without a sign of life of its holder.
const LeaseTTL = 30 * time.Second

// microTime is how the API writes the times of a Lease.
const microTime = "2006-01-02T15:04:05.000000Z07:00"

func leaseResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
}

// lease reads and edits the Lease of one target. It is a view on a whole object, so fields of others survive.
type lease struct{ *unstructured.Unstructured }

func newLease(t policy.Target) lease {
	l := lease{&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": map[string]any{},
	}}}
	l.SetNamespace(t.Namespace)
	l.SetName(t.LeaseName())
	l.SetLabels(map[string]string{labelManaged: FieldManager})
	l.annotate(annTarget, t.String())
	return l
}

func (l lease) clone() lease { return lease{l.DeepCopy()} }

func (l lease) spec(field string) string {
	s, _, _ := unstructured.NestedString(l.Object, "spec", field)
	return s
}

func (l lease) holder() string { return l.spec("holderIdentity") }

// beat is what changes with every sign of life.
func (l lease) beat() string {
	return l.holder() + " " + l.spec("renewTime") + " " + l.GetResourceVersion()
}

func (l lease) transitions() int64 {
	n, _, _ := unstructured.NestedInt64(l.Object, "spec", "leaseTransitions")
	return n
}

func (l lease) ttl() time.Duration {
	n, found, _ := unstructured.NestedInt64(l.Object, "spec", "leaseDurationSeconds")
	if !found {
		return LeaseTTL
	}
	return time.Duration(n) * time.Second
}

func (l lease) lock() rollout.Lock {
	renewed, _ := time.Parse(microTime, l.spec("renewTime"))
	return rollout.Lock{Holder: l.holder(), Renewed: renewed, TTL: l.ttl()}
}

func (l lease) set(field string, value any) {
	spec, _, _ := unstructured.NestedMap(l.Object, "spec")
	if spec == nil {
		spec = map[string]any{}
	}
	spec[field] = value
	l.Object["spec"] = spec
}

func (l lease) annotate(key, value string) {
	all := l.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	if value == "" {
		delete(all, key)
	} else {
		all[key] = value
	}
	l.SetAnnotations(all)
}

// take makes a lease ours, from now on.
func (l lease) take(holder string, now time.Time) {
	l.set("holderIdentity", holder)
	l.set("leaseDurationSeconds", int64(LeaseTTL/time.Second))
	l.set("acquireTime", now.UTC().Format(microTime))
	l.set("renewTime", now.UTC().Format(microTime))
	l.set("leaseTransitions", l.transitions()+1)
	labels := l.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelManaged] = FieldManager
	l.SetLabels(labels)
}

// store puts a state into the lease.
func (l lease) store(s rollout.State) error {
	text, err := s.Encode()
	if err != nil {
		return err
	}
	l.annotate(annState, text)
	l.annotate(annPhase, string(s.Phase))
	l.annotate(annTarget, s.Target.String())
	return nil
}

// state is the stored state with the request and the fence that the lease itself bears.
func (l lease) state() (rollout.State, error) {
	var s rollout.State
	if text := l.GetAnnotations()[annState]; text != "" {
		var err error
		if s, err = rollout.DecodeState(text); err != nil {
			return s, fmt.Errorf("reading Lease %s/%s: %w", l.GetNamespace(), l.GetName(), err)
		}
	}
	if r := l.request(); r.Verb != "" {
		s.Request = r.Verb
	}
	s.Fence = max(s.Fence, l.transitions())
	return s, nil
}

// Request is what a person asked of a running rollout.
type Request struct {
	Verb   string    `json:"verb"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// request reads the request annotation: our JSON, or the bare verb that somebody wrote with kubectl annotate.
func (l lease) request() Request {
	text := strings.TrimSpace(l.GetAnnotations()[annRequest])
	var r Request
	if json.Unmarshal([]byte(text), &r) == nil && r.Verb != "" {
		return r
	}
	if strings.ContainsAny(text, "{}\" ") {
		return Request{}
	}
	return Request{Verb: text}
}
