// Package simulate runs rollouts in virtual time against a simulated mesh: the real plan of steps (pkg/strategy), the
// real machine (rollout.Next) and whatever judge it is given. It tells how often and how soon a harm of a given size is
// found and what it costs until then, how often a harmless policy is taken back, and how long a good one takes.
//
//	world ─ ticks at the exposure in force ─→ judge ─→ rollout.Next ─→ the next exposure, or the end
//	  └── the same seed, the rules of Flagger, Argo Rollouts and Kayenta instead of the judge (Compare)
//
// It is pure: the same options and seed give the same report, on however many processors.
package simulate
