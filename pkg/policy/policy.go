// Package policy holds decoded policies, where they came from, whom they touch, and how much of them is in force.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// Key names a policy: kind, namespace and name are unique in a Set.
type Key struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is kind/namespace/name, as messages name a policy.
func (k Key) String() string { return k.Kind + "/" + k.Namespace + "/" + k.Name }

// Source is the place of a document on disk.
type Source struct {
	// File is the path as given, or "-" for standard input.
	File string
	// Line is the line of the document's first key, counted from 1.
	Line int
	// Lines maps a field path ("spec.target.service", "spec.rules[0].to") to its line.
	Lines map[string]int
}

// At is file:line of a field, or of the document where the field is not in it.
func (s Source) At(field string) string {
	return fmt.Sprintf("%s:%d", s.File, s.line(field))
}

// line is the line of a field, of the object that it should be in, or of the document.
func (s Source) line(field string) int {
	for f := field; f != ""; f = parentField(f) {
		if line, ok := s.Lines[f]; ok {
			return line
		}
	}
	return s.Line
}

func parentField(f string) string {
	return f[:max(strings.LastIndexAny(f, ".["), 0)]
}

// Policy is one decoded policy document with its place.
type Policy struct {
	Key
	// Object is the document, defaults filled in.
	Object v1alpha1.PolicyObject
	// Source is where it was read.
	Source Source
}

// Target is the policy's target in its canonical form.
func (p Policy) Target() Target { return TargetOf(p.Namespace, *p.Object.PolicyTarget()) }

// Target is what policies act on, without the narrowing to ports and routes: policies of one Target move as one,
// under one Lease.
type Target struct {
	// Kind is Service, Workload, Namespace, Gateway or Host.
	Kind string `json:"kind"`
	// Namespace is the namespace of the policy.
	Namespace string `json:"namespace"`
	// Name is the name of the Service, the canonical text of the workload's labels, gateway and host, or the host.
	Name string `json:"name,omitempty"`
}

// TargetOf is the canonical Target of a policy in a namespace.
func TargetOf(namespace string, t v1alpha1.Target) Target {
	switch {
	case t.Service != "":
		return Target{Kind: "Service", Namespace: namespace, Name: t.Service}
	case t.Workload != nil:
		return Target{Kind: "Workload", Namespace: namespace, Name: labelText(t.Workload.Labels)}
	case t.Namespace:
		return Target{Kind: "Namespace", Namespace: namespace}
	case t.Gateway != "":
		return Target{Kind: "Gateway", Namespace: namespace, Name: t.Gateway + " " + t.Host}
	default:
		return Target{Kind: "Host", Namespace: namespace, Name: t.Host}
	}
}

func labelText(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for k, v := range labels {
		pairs = append(pairs, k+"="+v)
	}
	sort.Strings(pairs)
	return strings.Join(pairs, ",")
}

// String is "service shop/cart", as messages name a target.
func (t Target) String() string {
	s := strings.ToLower(t.Kind) + " " + t.Namespace
	if t.Name != "" {
		s += "/" + t.Name
	}
	return s
}

// Hash is 10 hex digits that name the target in object names and label keys.
func (t Target) Hash() string {
	sum := sha256.Sum256([]byte(t.Kind + "\x00" + t.Namespace + "\x00" + t.Name))
	return hex.EncodeToString(sum[:])[:10]
}

// LeaseName is the name of the Lease that holds lock and state of the target's rollout.
func (t Target) LeaseName() string { return "meshpol-" + strings.ToLower(t.Kind) + "-" + t.Hash() }

// CohortLabel is the key of the label that puts a pod into the cohort of this target's rollout.
func (t Target) CohortLabel() string { return "cohort.meshpol.io/" + t.Hash() }

// Change is everything that changes for one target: all of its policies move as one.
type Change struct {
	Target Target
	// Policies are the new policies of the target, sorted by key.
	Policies []Policy
	// Rev is the short name of this run in route names, stat prefixes and labels: 6 to 10 lower-case hex digits.
	Rev string
}

// UnsupportedError says that a mesh cannot express a policy. Callers branch on it to make a finding of it.
type UnsupportedError struct {
	// Code is the stable finding code (MP5xx, or MP4xx where a live object is in the way).
	Code string
	// Policy and Field name what cannot be expressed.
	Policy Key
	Field  string
	// Mesh is the mesh with its version.
	Mesh string
	// Reason says why; Next says the nearest thing that works.
	Reason string
	Next   string
}

// Error is one line with everything in it.
func (e *UnsupportedError) Error() string {
	s := fmt.Sprintf("%s %s: %s: %s", e.Code, e.Policy, e.Field, e.Reason)
	if e.Field == "" {
		s = fmt.Sprintf("%s %s: %s", e.Code, e.Policy, e.Reason)
	}
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}
