// Package kube is the only code that talks to Kubernetes. It implements the ports of pkg/rollout on one cluster:
//
//	Cluster     rollout.Objects, rollout.Pods: whole unstructured objects in, whole objects out
//	Gather      everything that decisions may know, read once into a policy.Snapshot
//	LeaseStore  rollout.Store: lock and state of a target in one Lease
//	Archive     rollout.Archive: records as ControllerRevisions
//	Prover      rollout.Prover: the propagation barrier on istiod's and Envoy's own words
//
// Every write carries what it was decided on (a resourceVersion, a UID, "must not exist"), so a write that comes too
// late fails instead of undoing somebody else's. Nothing here decides anything about policies.
package kube
