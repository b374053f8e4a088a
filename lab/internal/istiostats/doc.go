// Package istiostats counts requests as Istio's own stats filter does. Stock Envoy lacks that filter; what it knows of
// every finished request it sends over its access-log service, and from that the same two metrics are made here, with
// the same names, labels and values:
//
//	istio_requests_total                          requests
//	istio_request_duration_milliseconds           histogram of their whole time, in whole milliseconds
//
// One [Proxy] stands for the filter in one pod's proxy. Where the filter learns of its peer by metadata exchange, a
// [Directory] is asked for the workload behind an address, as Istio's own workload discovery does.
//
// The label meshpol_cohort is no label of Istio's. It is what a Telemetry object with the tag override of
// docs/metrics.md adds for the side that sends: "new" for requests that took a clone of meshpol's, "old" for those that
// took the twin of a route that only a part of is rolled out, else "none". The side that receives does not know the route
// and has it empty.
package istiostats
