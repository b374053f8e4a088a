package rollout

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// Ref names an object of the cluster.
type Ref struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// RefOf is the Ref of an object.
func RefOf(o *unstructured.Unstructured) Ref {
	return Ref{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// String is "VirtualService shop/cart", as messages name an object.
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Op is what a write does.
type Op string

// The operations. Create is a POST with the field manager meshpol and fails with a *ConflictError where the object
// exists (server-side apply cannot say "must not exist"); Update carries the object's resourceVersion; Delete carries resourceVersion as its precondition.
const (
	Create Op = "create"
	Update Op = "update"
	Delete Op = "delete"
)

// Objects reads and writes whole objects of the mesh.
type Objects interface {
	// Get returns the live object, or nil where there is none.
	Get(ctx context.Context, ref Ref) (*unstructured.Unstructured, error)
	// Write sends one whole object and returns what the API server made of it. With dryRun nothing is stored. A changed
	// resourceVersion is a *ConflictError, a refusal by a webhook or schema a *RefusedError with the server's words.
	Write(ctx context.Context, op Op, obj *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error)
	// GiveBack restores the managedFields of an object whose ownership was changed by our writes.
	GiveBack(ctx context.Context, ref Ref, managed []any) error
}

// Pods reads and labels pods.
type Pods interface {
	// Pods lists the pods of a namespace ("" = all) without their specs.
	Pods(ctx context.Context, namespace string) ([]policy.Pod, error)
	// Label sets a label of one pod, or removes it where the value is empty. A pod that is gone is no error.
	Label(ctx context.Context, namespace, name, key, value string) error
}

// ProofRequest says what every proxy must hold.
type ProofRequest struct {
	Markers []mesh.Marker
	// Host is the host whose routes or clusters changed; proxies that cannot see it are not concerned.
	Host string
	// Written are the objects written, with the resourceVersion the API server answered ("" = deleted).
	Written map[Ref]string
	// Proxies limits the question to these pods ("namespace/pod"); empty: every proxy.
	Proxies []string
}

// Proof is how many proxies hold a change.
type Proof struct {
	// Confirmed of Concerned proxies hold it; Unconcerned cannot see the host at all.
	Confirmed, Concerned, Unconcerned int
	// Stragglers are concerned proxies that do not hold it yet, sorted.
	Stragglers []string
	// Rejected are proxies that refused the configuration, with Envoy's own words.
	Rejected []Rejection
	// Took is the time from the start of the proof to the last confirmation.
	Took time.Duration
}

// Rejection is a NACK.
type Rejection struct{ Proxy, Message string }

// Prover proves propagation.
type Prover interface {
	// Prove waits until every concerned proxy holds all markers. When ctx ends before, it returns what it has with a
	// *StragglersError; a NACK ends it at once with a *RejectedError. progress may be nil.
	Prove(ctx context.Context, req ProofRequest, progress func(Proof)) (Proof, error)
}

// Store holds lock and state of one target in one Lease; every write carries its resourceVersion.
type Store interface {
	// Acquire takes the Lease for holder and returns the state in it (zero Phase: none). A live foreign holder is a
	// *LockedError. takeOver takes it all the same, for a recorded reason.
	Acquire(ctx context.Context, target policy.Target, holder string, takeOver string) (State, error)
	// Save writes the state and renews the lock in one write. It returns the state as stored: Request is what a person
	// asked for meanwhile, kept until a Save whose State.Request is "" follows one that returned it. A lost lock is a
	// *LockedError.
	Save(ctx context.Context, s State) (State, error)
	// Ask leaves a person's request (abort, pause, resume, promote) for the runner; it needs no lock.
	Ask(ctx context.Context, target policy.Target, request string) error
	// Release gives the lock up and leaves the state.
	Release(ctx context.Context, target policy.Target) error
	// Peek reads the state without any lock; zero Phase: none.
	Peek(ctx context.Context, target policy.Target) (State, Lock, error)
	// List reads all states of a namespace ("" = all).
	List(ctx context.Context, namespace string) ([]StoredState, error)
}

// Lock is who holds a Lease.
type Lock struct {
	Holder  string
	Renewed time.Time
	// TTL is the time after Renewed at which the lock is free.
	TTL time.Duration
}

// StoredState is a state with its lock.
type StoredState struct {
	State State
	Lock  Lock
}

// Record is what the archive keeps of a rollout: all that is needed to go on or to go back from any machine.
type Record struct {
	// Revision counts the records of a target from 1.
	Revision int64 `json:"revision"`
	// Result is running, succeeded or rolled-back.
	Result   string `json:"result"`
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
	Host     string `json:"host"`
	Digest   string `json:"digest"`
	Rev      string `json:"rev"`
	// Documents are the policies and the Rollout as JSON documents, defaults filled in.
	Documents []map[string]any `json:"documents"`
	// Steps and Settings are the plan's, whatever flags made of the Rollout.
	Steps    []strategy.Step `json:"steps"`
	Settings Settings        `json:"settings"`
	// Base are the touched objects as they were before; Final as they are after the fold.
	Base  []map[string]any `json:"base"`
	Final []map[string]any `json:"final,omitempty"`
	// Absent are touched objects that did not exist before.
	Absent  []Ref     `json:"absent,omitempty"`
	Verdict string    `json:"verdict,omitempty"`
	Started time.Time `json:"started"`
}

// Archive keeps Records as ControllerRevisions (immutable data; the result is kept in labels).
type Archive interface {
	// Put writes a new record of the target and returns its revision.
	Put(ctx context.Context, target policy.Target, r Record) (int64, error)
	// Close sets result and verdict of a record, stores its final objects in a record of its own where result is
	// succeeded, and prunes to the limit of 10. The error is ErrNoRecord where there is no such record.
	Close(ctx context.Context, target policy.Target, revision int64, result, verdict string, final []map[string]any) error
	// Records lists the records of a target, newest first.
	Records(ctx context.Context, target policy.Target) ([]Record, error)
}

// Sink takes events, one at a time, in order.
type Sink interface{ Emit(Event) }
