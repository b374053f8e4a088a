package fakemesh

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// Objects is what is in the cluster at a time.
type Objects map[rollout.Ref]*unstructured.Unstructured

// World is the cluster. Its exported fields are set before the first run.
type World struct {
	// Defaults changes an object as the API server's defaulting and webhooks would; nil: nothing.
	Defaults func(*unstructured.Unstructured)
	// Refuse says why a write is refused; nil: never.
	Refuse func(op rollout.Op, o *unstructured.Unstructured) error
	// Reject says why a proxy refuses a configuration (Envoy's own words); empty: it takes it.
	Reject func(Objects) string
	// Lag is how long a proxy takes to hold what was written.
	Lag time.Duration
	// Traffic is what flows and what of it fails.
	Traffic Traffic
	// Shares may be one for many worlds.
	Shares *Shares
	// TTL is how long a lease lives without a sign of life.
	TTL time.Duration

	mu       sync.Mutex
	version  int
	history  []moment
	pods     map[string]policy.Pod
	labels   map[string][]labelMoment
	frozen   map[string]time.Time
	leases   map[string]*lease
	records  map[string][]rollout.Record
	counters map[string]*counter
	counted  time.Time // the last scrape
	flowed   time.Time // what was sent until then is in the counters
	log      []Entry
	broken   []string
}

// moment is the content of the cluster since a time.
type moment struct {
	at      time.Time
	objects Objects
}

// Entry is one call of a node, as a trace prints it.
type Entry struct {
	At         time.Time
	Node       string
	Call       Call
	Err        error
	Fault      string
	SinceStart time.Duration
}

// String is one line of a trace.
func (e Entry) String() string {
	s := fmt.Sprintf("%10s %s #%d %s %s", e.SinceStart.Round(time.Millisecond), e.Node, e.Call.N, e.Call.Op, e.Call.What)
	if e.Fault != "" {
		s += " [" + e.Fault + "]"
	}
	if e.Err != nil {
		s += " -> " + e.Err.Error()
	}
	return s
}

// New is a world with objects and pods. The objects belong to the field manager of the team that wrote them.
func New(objects []*unstructured.Unstructured, pods []policy.Pod) *World {
	w := &World{
		Lag: 300 * time.Millisecond, TTL: 30 * time.Second, Shares: &Shares{},
		pods: map[string]policy.Pod{}, labels: map[string][]labelMoment{}, frozen: map[string]time.Time{}, leases: map[string]*lease{},
		records: map[string][]rollout.Record{}, counters: map[string]*counter{},
	}
	start := Objects{}
	for _, o := range objects {
		w.version++
		fresh := through(o)
		fresh.SetResourceVersion(strconv.Itoa(w.version))
		own(fresh, "team", nil)
		start[rollout.RefOf(fresh)] = fresh
	}
	w.history = []moment{{at: time.Now(), objects: start}}
	w.counted, w.flowed = time.Now(), time.Now()
	for _, p := range pods {
		w.put(p)
	}
	return w
}

// through is an object as it comes back from the wire.
func through(o *unstructured.Unstructured) *unstructured.Unstructured {
	b, err := o.MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("encoding an object: %v", err))
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(b); err != nil {
		panic(fmt.Sprintf("decoding an object: %v", err))
	}
	return out
}

func (w *World) now() Objects { return w.history[len(w.history)-1].objects }

// at is the content as a proxy with the world's lag sees it at a time.
func (w *World) at(t time.Time) Objects {
	for i := len(w.history) - 1; i > 0; i-- {
		if !w.history[i].at.After(t) {
			return w.history[i].objects
		}
	}
	return w.history[0].objects
}

// change stores a new content; nil deletes.
func (w *World) change(ref rollout.Ref, o *unstructured.Unstructured) {
	w.count(time.Now())
	next := maps.Clone(w.now())
	if o == nil {
		delete(next, ref)
	} else {
		next[ref] = o
	}
	w.history = append(w.history, moment{at: time.Now(), objects: next})
}

// Get is a copy of a live object; nil where there is none.
func (w *World) Get(ref rollout.Ref) *unstructured.Unstructured {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.now()[ref]; ok {
		return o.DeepCopy()
	}
	return nil
}

// All is a copy of every live object.
func (w *World) All() Objects {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := Objects{}
	for ref, o := range w.now() {
		out[ref] = o.DeepCopy()
	}
	return out
}

// Edit changes a live object as somebody who is not meshpol would; an object that is not there is left alone.
func (w *World) Edit(ref rollout.Ref, manager string, edit func(*unstructured.Unstructured)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, ok := w.now()[ref]
	if !ok {
		return
	}
	o := was.DeepCopy()
	edit(o)
	w.store(o, manager, was)
}

// Put creates an object, or replaces it, as somebody who is not meshpol would.
func (w *World) Put(o *unstructured.Unstructured, manager string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.store(through(o), manager, w.now()[rollout.RefOf(o)])
}

// Remove deletes an object.
func (w *World) Remove(ref rollout.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.change(ref, nil)
}

func (w *World) store(o *unstructured.Unstructured, manager string, was *unstructured.Unstructured) *unstructured.Unstructured {
	if w.Defaults != nil {
		w.Defaults(o)
	}
	w.version++
	o.SetResourceVersion(strconv.Itoa(w.version))
	own(o, manager, was)
	w.change(rollout.RefOf(o), o)
	return o.DeepCopy()
}

// Snapshot is what a runner gathers before it plans.
func (w *World) Snapshot() *policy.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &policy.Snapshot{Cluster: "test", Mesh: policy.MeshFacts{Name: "istio", Version: "1.31.0", RootNamespace: "istio-system"}, Taken: time.Now()}
	for _, ref := range sortedRefs(w.now()) {
		s.Objects = append(s.Objects, w.now()[ref].DeepCopy())
	}
	s.Pods = w.podList("")
	return s
}

// Log is every call so far.
func (w *World) Log() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Entry{}, w.log...)
}

// Broken lists what must never happen and did: writes without a lease.
func (w *World) Broken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.broken...)
}
