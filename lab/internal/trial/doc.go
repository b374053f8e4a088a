// Package trial runs meshpol, as a user would, against a lab under load, and compares what meshpol said with what the
// clients saw. Demo, end-to-end tests and benchmarks are made of it.
package trial
