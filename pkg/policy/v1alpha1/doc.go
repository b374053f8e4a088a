// Package v1alpha1 holds the meshpol.io/v1alpha1 kinds as people write them: one type per policy kind and Rollout.
//
// The types are the specification. The comments give meaning, unit, default and limits of every field. The jsonschema
// tags give the limits once more for programs: the strict decoder in pkg/policy and the JSON Schema in
// docs/reference/schema both read them, so that neither can accept what the other refuses. A tag's format is a name of
// Formats; a minimum or maximum of a Duration is written as a duration.
package v1alpha1

// APIVersion is the only apiVersion that documents of this package bear.
const APIVersion = "meshpol.io/v1alpha1"
