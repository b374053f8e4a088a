// Package istio compiles policies into Istio's resources.
//
// One mechanism carries Timeout, Retry and CircuitBreaker: the split route. Each http entry of a VirtualService that
// routes to the target is cloned; the clone bears the new policies and one more match, the cohort, and stands
// immediately before its original:
//
//	http:
//	- name: mp-new-<rev>-0-w0a1-0029    the clone: new policies, the cohort's match, statPrefix mp-<rev>-new
//	- name: mp-old-<rev>-1              only for a policy narrower than its entry: the same requests outside the cohort
//	- name: (the user's)                the original; only statPrefix mp-<rev>-old is added to its matches
//
// A CircuitBreaker also adds one subset mp-new-<rev> (one per existing subset in use) to the DestinationRule, to which
// the clones route. The fold removes every name of ours and leaves what a careful person would have written by hand.
//
// Everything here is pure: objects in, objects out, no clock, no client, no printing.
package istio
