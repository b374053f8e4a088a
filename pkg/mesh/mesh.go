// Package mesh says what a mesh is. Compilers are pure: facts and an exposure in, whole objects out.
package mesh

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Mesh compiles policies into one mesh's resources. Users declare the part of it that they need.
type Mesh interface {
	// Name is istio or linkerd.
	Name() string
	// Detect tells whether the mesh is in the snapshot.
	Detect(s *policy.Snapshot) bool
	// Compile gives the objects of a change at an exposure. Base objects are the snapshot's: what was there before the
	// rollout, without anything of ours. It returns a *policy.UnsupportedError rather than drop a field.
	Compile(s *policy.Snapshot, c policy.Change, e policy.Exposure) (Compiled, error)
	// Neutralise takes the new policy out of force with the fewest writes, from live objects alone: whatever others
	// changed meanwhile stays. It returns the objects to write, changed; none where nothing is in force.
	Neutralise(live []*unstructured.Unstructured, c policy.Change) []*unstructured.Unstructured
	// NeutralMarkers hold at a proxy once what Neutralise wrote is in force there.
	NeutralMarkers(c policy.Change) []Marker
	// Tidy brings live objects back: only our fields go back to base, others' edits stay.
	Tidy(base, ours, live *unstructured.Unstructured, c policy.Change) (Undone, error)
	// Query asks for the counters of the change's two sides at an exposure. instances gives the sides of pods where the
	// exposure is by instance; in step 0, which is by request in any case, it is nil where the steps after it are too.
	Query(s *policy.Snapshot, c policy.Change, e policy.Exposure, instances map[string]metrics.Side) (metrics.Query, error)
	// Standard says where a source would have the mesh's standard metrics of the target.
	Standard(c policy.Change) StandardMetrics
	// Past asks what the target did before the rollout; it is empty where nothing tells.
	Past(s *policy.Snapshot, c policy.Change) metrics.PastQuery
}

// StandardMetrics says how to find out whether a source has the mesh's standard metrics of a host.
type StandardMetrics struct {
	// Host is the key of policy.Snapshot.Metrics; Selector a Prometheus selector of its clients' requests; Tag the label that
	// tells the two sides of a split apart, where somebody has set it up.
	Host, Selector, Tag string
}

// Compiled is a change at an exposure.
type Compiled struct {
	// Stages are carried out in order, each behind the barrier of the one before; one that changes nothing is skipped.
	Stages []Stage
	// Labels says that the cohort is pods, and which label with which value puts a pod into it; nil otherwise.
	Labels *CohortLabel
	// AtFold lists populations that get the policy only at the fold, in words.
	AtFold []string
	// Notes are findings that do not stop (code: text), such as a pool that is canaried by request.
	Notes []string
}

// CohortLabel is a label on client pods. The stage that installs a split by instance cannot be proved by the clone's
// presence (only labelled pods have it): its own markers prove that the split before it is gone.
type CohortLabel struct {
	Key, Value string
	// Markers hold at a labelled pod once its proxy is in the cohort, and at no other.
	Markers []Marker
}

// Stage is one write with what proves that a proxy holds it.
type Stage struct {
	// Object is the whole object as it shall be, without resourceVersion; with Delete it is removed.
	Object *unstructured.Unstructured
	// Create tells that it does not exist in the snapshot and is ours alone.
	Create bool
	Delete bool
	// Clean tells that the write only takes away what counted and proved the fold (a statPrefix, an unused subset): it
	// comes after the fold was watched.
	Clean bool
	// Markers must hold at a proxy for the write to be in force there.
	Markers []Marker
}

// Marker is a text in a proxy's own configuration whose presence or absence proves a write.
type Marker struct {
	// Scope is routes or clusters.
	Scope string `json:"scope"`
	// Text is looked for in the proxy's configuration dump of that scope.
	Text string `json:"text"`
	// Absent turns the question around.
	Absent bool `json:"absent,omitempty"`
}

// Undone is what tidying one object comes to.
type Undone struct {
	// Object is the object to write; nil where there is nothing to do.
	Object *unstructured.Unstructured
	// Delete tells that the object goes, since it was ours alone and nobody else touched it.
	Delete bool
	// Conflicts are fields that somebody else changed to a third value: they stay as they are.
	Conflicts []Conflict
	Markers   []Marker
}

// Conflict is a field with three values.
type Conflict struct{ Field, Base, Ours, Live string }
