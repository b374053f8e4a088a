// Package loadgen makes a bounded, open-loop load from inside a client pod and remembers what the client saw.
//
// Open loop: request i is due at start + i/rps, whatever became of the others. What is not sent is counted, never sent
// late in a bunch:
//
//   - dropped: it was due while the limit of requests in flight was reached;
//   - missed: the generator itself woke up too late, as on a busy machine.
//
// Every record holds the moment the request was due and the moment it was sent, so that latencies can be counted from
// either (coordinated omission).
package loadgen
