// Package rollout holds the plan of a rollout, its state machine and the executor.
//
// Next decides and is pure: plan, state, facts and time in, one action out. The Executor carries actions out through
// ports and saves the state before and after each of them, so that a crash, a Ctrl-C, a lost network and a second
// runner are one case: load the state, compare the digest, go on.
package rollout
