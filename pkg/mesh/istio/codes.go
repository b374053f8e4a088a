package istio

import (
	"github.com/meshpol/meshpol/pkg/policy"
)

// Code is a stable finding code of this package.
type Code struct {
	// Code is MP4xx where a live object is in the way, MP54x to MP56x where Istio cannot express something, MP57x for
	// notes that do not stop.
	Code string
	// Title is the finding in one line, without the particulars.
	Title string
}

const (
	codeNoService       = "MP440"
	codeHostElsewhere   = "MP441"
	codeSecondVS        = "MP442"
	codeOtherController = "MP443"
	codeHTTPRoute       = "MP444"
	codeNotHTTP         = "MP445"
	codeWildcardVS      = "MP446"
	codeMixedHosts      = "MP447"
	codeHeaderTaken     = "MP448"
	codeNoRoute         = "MP449"
	codeHiddenRule      = "MP450"
	codeSeveralRules    = "MP451"
	codeSelectorRule    = "MP452"
	codeRuleNotExported = "MP453"
	codeDelegateMatch   = "MP454"
	codeLeftovers       = "MP455"
	codeNoPort          = "MP456"
	codeNameCollision   = "MP457"
	codeMissingSubset   = "MP458"

	codeKind          = "MP540"
	codeTarget        = "MP541"
	codeExposure      = "MP542"
	codeIdle          = "MP543"
	codeBackoff       = "MP544"
	codeMaxEjection   = "MP545"
	codeFraction      = "MP546"
	codeBreakerRoute  = "MP547"
	codeNarrowing     = "MP548"
	codeOverlap       = "MP549"
	codeSameKind      = "MP550"
	codeNoRouteStats  = "MP551"
	codeValue         = "MP552"
	codeNoTimeout     = "MP553"
	codeNotByInstance = "MP554"
	codeStrategyMatch = "MP555"
	codeNothingToDo   = "MP556"

	noteShareOfPool  = "MP570"
	noteSharedPrefix = "MP571"
	noteOutsideVS    = "MP572"
	noteCopiedRule   = "MP573"
	noteGRPC         = "MP574"
	noteTimeoutGone  = "MP575"
	noteFilterByName = "MP576"
)

// Codes lists every code that this package gives, in order.
func Codes() []Code {
	return []Code{
		{codeNoService, "the Service is not in the cluster"},
		{codeHostElsewhere, "a VirtualService owns the host and routes nothing to the service"},
		{codeSecondVS, "two VirtualServices hold the same host for sidecars; Istio uses one of them only"},
		{codeOtherController, "another progressive-delivery controller owns the object"},
		{codeHTTPRoute, "a Gateway API HTTPRoute is attached to the service"},
		{codeNotHTTP, "the traffic is not HTTP for the mesh, so no route can carry the policy"},
		{codeWildcardVS, "a VirtualService with a wildcard host covers the service"},
		{codeMixedHosts, "a route divides its requests between the service and another host"},
		{codeHeaderTaken, "a route already matches the header that the cohort needs"},
		{codeNoRoute, "no route to the service fits the policy's target"},
		{codeHiddenRule, "a DestinationRule in a client namespace hides the service's own"},
		{codeSeveralRules, "several DestinationRules of one namespace hold the host"},
		{codeSelectorRule, "a DestinationRule with a workloadSelector replaces the host's rule for some clients"},
		{codeRuleNotExported, "the DestinationRule is not exported to every client that the routes reach"},
		{codeDelegateMatch, "the delegating route's match cannot be combined with ours"},
		{codeLeftovers, "the object still bears marks of another rollout"},
		{codeNoPort, "the Service has no such HTTP port"},
		{codeNameCollision, "two hosts have the same name once Envoy's statistics flatten it"},
		{codeMissingSubset, "a route names a subset that no DestinationRule defines"},

		{codeKind, "this kind is not yet supported on Istio"},
		{codeTarget, "this target is not yet supported on Istio"},
		{codeExposure, "this kind cannot be exposed in this way"},
		{codeIdle, "Istio has no idle timeout per route"},
		{codeBackoff, "retry backoff needs Istio 1.26"},
		{codeMaxEjection, "Istio cannot cap the ejection time"},
		{codeFraction, "Istio takes whole percents only"},
		{codeBreakerRoute, "a circuit breaker acts on a service or port, not on routes"},
		{codeNarrowing, "the narrowing cannot be combined with the route's own match"},
		{codeOverlap, "two policies narrow the same route to overlapping requests"},
		{codeSameKind, "two policies of one kind act on the same requests"},
		{codeNoRouteStats, "route statistics are not exported before Istio 1.23"},
		{codeValue, "Istio refuses this value"},
		{codeNoTimeout, "a delegate cannot switch a timeout off that its root sets"},
		{codeNotByInstance, "the routes cannot be split by client pod"},
		{codeStrategyMatch, "the chosen population cannot be matched"},
		{codeNothingToDo, "the policy sets nothing"},

		{noteShareOfPool, "a pool limit is absolute: a share of the requests proves nothing about it"},
		{noteSharedPrefix, "a statPrefix of the user's own also counts other routes"},
		{noteOutsideVS, "some traffic to the service passes no VirtualService"},
		{noteCopiedRule, "a broader DestinationRule was copied into the new one"},
		{noteGRPC, "route statistics do not see gRPC status"},
		{noteTimeoutGone, "a timeout of 0s is written as no timeout, since Istio refuses 0s"},
		{noteFilterByName, "an EnvoyFilter matches a route by its name and misses the clone"},
	}
}

// refusal makes the error for a policy; the mesh's version is filled in by Compile.
func refusal(code string, key policy.Key, field, reason, next string) *policy.UnsupportedError {
	return &policy.UnsupportedError{Code: code, Policy: key, Field: field, Reason: reason, Next: next}
}

func note(code, text string) string { return code + ": " + text }
