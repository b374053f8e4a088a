// Package validate holds policies against each other and against a cluster. It is pure: facts in, findings out.
//
// Every finding has a stable code. The first digit is its family:
//
//	MP1xx  schema: the file itself (found by policy.Load)      MP4xx  conflicts with live objects
//	MP2xx  semantic: one policy or Rollout by itself           MP5xx  what the mesh cannot express
//	MP3xx  arithmetic between policies of one target           MP6xx  permissions and versions
//
// A mesh gives codes of its own above MP440, MP540 and MP570; they come through unchanged.
package validate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Severity is how bad a finding is.
type Severity string

// The severities. An error stops before the first write, a warning and an info do not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is one thing that a person should know.
type Finding struct {
	// Code is stable: it is never used for anything else.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Policy is what the finding is about; zero where it is about the cluster.
	Policy policy.Key `json:"policy,omitzero"`
	// At is file:line, Field the path in the document.
	At    string `json:"at,omitempty"`
	Field string `json:"field,omitempty"`
	// Message says what is wrong with the numbers, Next what to do.
	Message string `json:"message"`
	Next    string `json:"next,omitempty"`
}

// Mesh is the part of a mesh that validation needs.
type Mesh interface {
	// Name is istio or linkerd.
	Name() string
	// Detect tells whether the mesh is in the snapshot.
	Detect(s *policy.Snapshot) bool
	// Compile returns a *policy.UnsupportedError for what the mesh cannot express.
	Compile(s *policy.Snapshot, c policy.Change, e policy.Exposure) (mesh.Compiled, error)
}

// Facts are what a rule may look at.
type Facts struct {
	Set policy.Set
	// Changes are the set's policies by target.
	Changes []policy.Change
	// Snapshot is nil offline; Mesh is nil where none is chosen.
	Snapshot *policy.Snapshot
	Mesh     Mesh
	// Found is what the families before found: a mesh is not asked about what is known to be broken.
	Found []Finding

	cluster *cluster
}

// Rule is one question with its code.
type Rule struct {
	Code
	// Cluster tells that the rule needs a snapshot.
	Cluster bool
	// Check answers with findings; the code and the severity are filled in where they are empty.
	Check func(Facts) []Finding
}

// Check asks every rule, in the order of the families. Offline (s is nil) only the rules on files are asked.
func Check(set policy.Set, s *policy.Snapshot, m Mesh) []Finding {
	changes := set.Changes()
	facts := Facts{Set: set, Changes: changes, Snapshot: s, Mesh: m, cluster: newCluster(s, changes)}
	for _, r := range Rules() {
		if r.Cluster && s == nil {
			continue
		}
		for _, f := range r.Check(facts) {
			f.Code = cmp.Or(f.Code, r.Code.Code)
			f.Severity = cmp.Or(f.Severity, r.Severity)
			facts.Found = append(facts.Found, f)
		}
	}
	return sorted(facts.Found)
}

// FromLoad turns policy.Load's faults into findings.
func FromLoad(errs policy.Errors) []Finding {
	out := make([]Finding, 0, len(errs))
	for _, e := range errs {
		out = append(out, Finding{
			Code: e.Code, Severity: Error, Policy: e.Policy, At: e.At(), Field: e.Field, Message: e.Message, Next: e.Hint,
		})
	}
	return sorted(out)
}

// sorted puts findings in the order of file, line and code; those without a place come first.
func sorted(in []Finding) []Finding {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b Finding) int {
		fileA, lineA := place(a.At)
		fileB, lineB := place(b.At)
		return cmp.Or(strings.Compare(fileA, fileB), cmp.Compare(lineA, lineB), strings.Compare(a.Code, b.Code),
			strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
	})
	return out
}

func place(at string) (file string, line int) {
	i := strings.LastIndexByte(at, ':')
	if i < 0 {
		return at, 0
	}
	line, err := strconv.Atoi(at[i+1:])
	if err != nil {
		return at, 0
	}
	return at[:i], line
}

// about makes a finding on a field of a policy.
func about(p policy.Policy, field, message, next string) Finding {
	return Finding{Policy: p.Key, At: p.Source.At(field), Field: field, Message: message, Next: next}
}

// aboutRollout makes a finding on a field of a Rollout.
func aboutRollout(r policy.RolloutDoc, field, message, next string) Finding {
	meta := r.Object.Meta()
	key := policy.Key{Kind: policy.RolloutKind, Namespace: meta.Namespace, Name: meta.Name}
	return Finding{Policy: key, At: r.Source.At(field), Field: field, Message: message, Next: next}
}

// each asks one question of every policy whose document is a T.
func each[T any](question func(policy.Policy, T) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		var out []Finding
		for _, p := range f.Set.Policies {
			if o, ok := p.Object.(T); ok {
				out = append(out, question(p, o)...)
			}
		}
		return out
	}
}

// eachRollout asks one question of every Rollout.
func eachRollout(question func(Facts, policy.RolloutDoc) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		var out []Finding
		for _, r := range f.Set.Rollouts {
			out = append(out, question(f, r)...)
		}
		return out
	}
}

// when is the finding where the condition holds.
func when(condition bool, f Finding) []Finding {
	if condition {
		return []Finding{f}
	}
	return nil
}
