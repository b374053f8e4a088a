// Package header names the HTTP headers between the shop's clients, proxies and servers.
package header

// Headers that a proxy sets and a shop server reads.
const (
	RequestID       = "x-request-id"
	ExpectedTimeout = "x-envoy-expected-rq-timeout-ms"
	AttemptCount    = "x-envoy-attempt-count"
	// ToldTimeout is a copy of ExpectedTimeout that the lab's EnvoyFilter makes on the client's side: Istio's inbound
	// listener takes ExpectedTimeout away from every request of another pod.
	ToldTimeout = "x-lab-expected-timeout-ms"
)

// Headers that a shop server answers with, so that its client learns what arrived.
const (
	// Pod is the server pod.
	Pod = "x-shop-pod"
	// Version is the version of the server pod.
	Version = "x-shop-version"
	// SeenRequestID is RequestID as received.
	SeenRequestID = "x-shop-request-id"
	// SeenExpectedTimeout is ExpectedTimeout or ToldTimeout as received: the timeout in force for that very request.
	SeenExpectedTimeout = "x-shop-expected-timeout-ms"
	// SeenAttempt is AttemptCount as received.
	SeenAttempt = "x-shop-attempt"
	// Action says what the behaviour made of the request.
	Action = "x-shop-action"
)

// Traced lists the headers that an application hands on to the services it calls, so that one request keeps one id
// and one trace.
func Traced() []string {
	return []string{
		RequestID, "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
		"x-b3-sampled", "x-b3-flags", "x-ot-span-context", "x-cloud-trace-context", "grpc-trace-bin",
	}
}
