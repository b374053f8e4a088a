// Package v1alpha1 holds the meshpol.io/v1alpha1 kinds as people write them: one type per policy kind and Rollout.
//
// The types are the specification: the comments give meaning, unit, default and limits of every field, and the JSON
// Schema in docs/reference is generated from them.
package v1alpha1

// APIVersion is the only apiVersion that documents of this package bear.
const APIVersion = "meshpol.io/v1alpha1"
