package istio

// serviceMeanings are about the Service and about who routes its host.
func serviceMeanings() []Code {
	return []Code{
		{codeNoService, "the Service is not in the cluster",
			"Sidecars know a host by its Service: without one there is nothing that a route could lead to.",
			"Correct spec.target.service or metadata.namespace (kubectl get services -A), or deploy the Service " +
				"first."},
		{codeHostElsewhere, "a VirtualService owns the host and routes nothing to the service",
			"Calls of the service's host go where that VirtualService sends them: no request would ever meet the " +
				"policy.",
			"Set the policy on the service that it routes to, or give it an http route to this one."},
		{codeSecondVS, "two VirtualServices hold the same host for sidecars; Istio uses one of them only",
			"The routes of the other are ignored. Written into that one, the policy would do nothing.",
			"Merge them into one VirtualService. If one is meant for gateways only, name those in its gateways, " +
				"without mesh."},
		{codeOtherController, "another progressive-delivery controller owns the object",
			"Flagger and Argo Rollouts write the object when their own analysis says so. The two tools would undo " +
				"each other's writes and judge a mixture of both.",
			"Leave the policy to that tool; or end Flagger's Canary or Argo's Rollout and clear what it left on the " +
				"object: owner reference, labels, annotations, managedFields (kubectl get KIND NAME -n NAMESPACE -o yaml " +
				"--show-managed-fields)."},
		{codeHTTPRoute, "a Gateway API HTTPRoute is attached to the service",
			"Istio lets it win over VirtualServices, which is where meshpol writes: the policy would do nothing.",
			"Move its rules into a VirtualService for the service, then delete the HTTPRoute (kubectl get httproutes " +
				"-A)."},
		{codeNotHTTP, "the traffic is not HTTP for the mesh, so no route can carry the policy",
			"The split, timeouts and retries are parts of http routes. What Istio takes for TCP or TLS passes none.",
			"If it is HTTP, say so: name the Service's port http-… or set its appProtocol to http, and use http " +
				"instead of tcp or tls in the VirtualService. If it is not, no policy of this release can act on it."},
		{codeWildcardVS, "a VirtualService with a wildcard host covers the service",
			"It sends the service's requests elsewhere. One for the exact host would take its place, and what it " +
				"does for this service would be lost in silence.",
			"Write a VirtualService for the service's full host first, with a route to it and what the wildcard's " +
				"routes do for it; or add such a route to the wildcard's."},
		{codeMixedHosts, "a route divides its requests between the service and another host",
			"A route has one timeout and one retries block for all of its destinations: the other host would get the " +
				"policy too.",
			"If that is meant, name the route in the policy: target.routes: [{name: ROUTE}]. If not, wait until the " +
				"route leads to one host only."},
		{codeHeaderTaken, "a route already matches the header that the cohort needs",
			"Requests are chosen by x-request-id, in step 0 of a canary by instance too, and a match has one test " +
				"per header.",
			"Take the test of x-request-id out of the route, or of the root that delegates to it; or bring the " +
				"policy into force without a split, with meshpol apply -f FILE."},
		{codeNoRoute, "no route to the service fits the policy's target",
			"No http entry takes requests with that name, port, path or method, or an earlier entry takes them all. " +
				"The policy would be dropped in silence.",
			"Compare target.routes and target.port with the names, matches and order of the http entries (kubectl " +
				"get virtualservices -A -o yaml)."},
	}
}

// objectMeanings are about live objects that would break under the split, or break it.
func objectMeanings() []Code {
	return []Code{
		{codeHiddenRule, "a DestinationRule in a client namespace hides the service's own",
			"Clients of that namespace see no other rule for the host. A circuit breaker is rolled out as a subset, " +
				"which this rule does not define: their requests to it would fail.",
			"Merge it into the rule of the service's namespace, or delete it (kubectl get destinationrules -A)."},
		{codeSeveralRules, "several DestinationRules of one namespace hold the host",
			"Istio merges them by age: what is written into a younger one may not count.",
			"Merge them into one DestinationRule (kubectl get destinationrules -n NAMESPACE)."},
		{codeSelectorRule, "a DestinationRule with a workloadSelector replaces the host's rule for some clients",
			"A circuit breaker is rolled out as a subset of the host's rule. The clients that the selector chooses " +
				"do not see it: their requests to it would fail.",
			"Take the workloadSelector away, or delete the rule and write what it sets into the host's own."},
		{codeRuleNotExported, "the DestinationRule is not exported to every client that the routes reach",
			"A client or gateway that sees the route to the new subset but not the rule that defines it gets errors.",
			"Give it the exportTo of the VirtualService; where that is bound to a gateway, leave exportTo out, so " +
				"that everybody sees it."},
		{codeDelegateMatch, "the delegating route's match cannot be combined with ours",
			"Istio wants ignoreUriCase and sourceNamespace to be the same in root and delegate. The match that the " +
				"split adds to the delegate has neither, and Istio would drop the route.",
			"Repeat that part of the root's match in a match of the delegate's route."},
		{codeLeftovers, "the object still bears marks of another rollout",
			"Its mp- routes or subsets divide the traffic for that rollout. A second split on top could be neither " +
				"judged nor taken back.",
			"Let it go on or take it back (meshpol status -A; meshpol rollout resume NAME, meshpol rollback NAME). " +
				"Only where none is listed, delete by hand the mp- routes first, then the mp- subsets."},
		{codeNoPort, "the Service has no such HTTP port",
			"target.port is a port of the Service as callers use it, not a port of the pods, and Istio must take it " +
				"for HTTP.",
			"Write an HTTP port of the Service (kubectl get service NAME -n NAMESPACE -o yaml). If the port is HTTP " +
				"by what it carries, name it http-… or set its appProtocol to http."},
		{codeNameCollision, "two hosts have the same name once Envoy's statistics flatten it",
			"In metric names dots and dashes are underscores. With one statPrefix in both VirtualServices, requests " +
				"of the one host would count as the other's.",
			"Give one of the two another statPrefix, or none."},
		{codeMissingSubset, "a route names a subset that no DestinationRule defines",
			"Requests on that route fail already, and there is no subset whose copy could bear the new limits.",
			"Define the subset in the service's DestinationRule, or take it out of the route."},
	}
}

// fieldMeanings are about kinds, targets and fields that Istio cannot express.
func fieldMeanings() []Code {
	return []Code{
		{codeKind, "this kind is not yet supported on Istio",
			"Its documents are read and checked, but this release carries out Timeout, Retry and CircuitBreaker " +
				"only.",
			"Check it with meshpol validate -f FILE --offline, and write Istio's own resource by hand until the kind " +
				"comes (docs/roadmap.md)."},
		{codeTarget, "this target is not yet supported on Istio",
			"Gateways, hosts of ServiceEntries, workloads and namespaces are read and checked, but this release " +
				"rolls out policies of Services only.",
			"Name the Service that is meant in spec.target.service, or write Istio's own resource by hand until the " +
				"target comes (docs/roadmap.md)."},
		{codeExposure, "this kind cannot be exposed in this way",
			"A timeout, retry or limit acts or does not: it cannot be watched without acting, and identical halves " +
				"need a split.",
			"The strategies canary and direct never ask for this. If you see it with one of them, it is a fault of " +
				"meshpol: report it."},
		{codeIdle, "Istio has no idle timeout per route",
			"In Istio an idle timeout belongs to the connections of the whole service; spec.idle is for Linkerd.",
			"Set spec.request instead, or connectionPool.http.idleTimeout in the DestinationRule by hand: a rollout " +
				"leaves it as it is."},
		{codeBackoff, "retry backoff needs Istio 1.26",
			"Before 1.26 a VirtualService has no field for it. Of several istiods the oldest counts.",
			"Leave spec.backoff out (Envoy's own pauses begin at 25 ms), or upgrade every istiod (kubectl get pods " +
				"-A -l app=istiod)."},
		{codeMaxEjection, "Istio cannot cap the ejection time",
			"Istio's API does not carry Envoy's max_ejection_time; the field is for Linkerd.",
			"Leave maxEjectionTime out: Envoy caps an ejection at 300s, or at baseEjectionTime where that is longer."},
		{codeFraction, "Istio takes whole percents only",
			"The field is a whole number in Istio's API. To round it in silence would eject another share than the " +
				"one you wrote.",
			"Round maxEjectionPercent yourself, up where the share is to be one endpoint at least."},
		{codeBreakerRoute, "a circuit breaker acts on a service or port, not on routes",
			"Connection pools and outlier detection belong to the service's cluster in Envoy, which all its routes " +
				"share.",
			"Leave target.routes out, or narrow the policy with target.port."},
	}
}

// targetMeanings are about requests that cannot be told apart, and about values.
func targetMeanings() []Code {
	return []Code{
		{codeNarrowing, "the narrowing cannot be combined with the route's own match",
			"Policy and route together must be one match of Istio's. A path prefix with a regex or with " +
				"ignoreUriCase, rewrites that differ per path, and a port that the route does not tell apart are none.",
			"Name the whole route (target.routes: [{name: ROUTE}]) or give the path a route of its own. Write one " +
				"policy per path where paths are rewritten; for a port, set destination.port in the route or leave " +
				"target.port out."},
		{codeOverlap, "two policies narrow the same route to overlapping requests",
			"A request takes one route only. Where both policies fit it, the order of the routes would decide which " +
				"of them it meets.",
			"Give both the same target.routes, or paths and methods that no request has in common."},
		{codeSameKind, "two policies of one kind act on the same requests",
			"Both set the same field of the mesh, so that one would overwrite the other. What the files alone show " +
				"of this is MP303; this one needs the live routes.",
			"Merge them or narrow them apart. A service can have one circuit breaker per rollout: roll one for " +
				"another port out afterwards, in a run of its own."},
		{codeNoRouteStats, "route statistics are not exported before Istio 1.23",
			"Nothing else tells requests under the new policy from those under the old one. Of several istiods the " +
				"oldest counts.",
			"Upgrade Istio, or use meshpol apply, which compares before and after by istio_requests_total. With " +
				"--no-analysis a canary goes on unjudged."},
		{codeValue, "Istio refuses this value",
			"Istio's own validation takes durations of whole milliseconds from 1ms on, and the retry conditions that " +
				"it knows. It would refuse the write.",
			"Round the duration, or write in spec.on a status code or a condition that the finding lists."},
		{codeNoTimeout, "a delegate cannot switch a timeout off that its root sets",
			"A delegate without a timeout inherits its root's, and Istio refuses 0s as a value.",
			"Remove the timeout from the root's route by hand, or write a long spec.request instead of 0s."},
		{codeNotByInstance, "the routes cannot be split by client pod",
			"The split by instance matches labels of the caller's sidecar. Waypoints and routes that are for " +
				"gateways only have no such caller.",
			"Canary by request: by: request in the Rollout, or --by request. Of pool limits it shows little before " +
				"the fold (MP570)."},
		{codeStrategyMatch, "the chosen population cannot be matched",
			"It names no header, cookie or source labels, or by source labels the routes are for gateways only.",
			"Use canary or direct: strategies that choose a population come later (docs/roadmap.md)."},
		{codeNothingToDo, "the policy sets nothing",
			"It would be rolled out and judged, and nothing would be different.",
			"Set what the kind is for: request in a Timeout, one limit or outlierDetection in a CircuitBreaker."},
	}
}

// noteMeanings are about what is carried out all the same.
func noteMeanings() []Code {
	return []Code{
		{noteShareOfPool, "a pool limit is absolute: a share of the requests proves nothing about it",
			"Each client proxy counts alone. With a share of the requests it stays below a limit that all of them " +
				"would reach.",
			"Leave by and --by out, or say instance: pools are then rolled out pod by pod. By request, expect to see " +
				"what the limit does only where all requests meet it."},
		{noteSharedPrefix, "a statPrefix of the user's own also counts other routes",
			"The old side is counted under that statPrefix. Requests of routes outside the rollout are taken for old " +
				"ones and blur the comparison.",
			"Give the routes of the rollout a statPrefix of their own, or none, before it begins."},
		{noteOutsideVS, "some traffic to the service passes no VirtualService",
			"It comes through an HTTPRoute, or from namespaces that the VirtualService is not exported to. It never " +
				"gets the policy, after the rollout either.",
			"Nothing, where that is meant. Else route it through a VirtualService, or widen its exportTo, before the " +
				"rollout."},
		{noteCopiedRule, "a broader DestinationRule was copied into the new one",
			"For a host Istio takes the most specific rule alone, so that the new one must say what the broader one " +
				"said.",
			"Make later changes of the broader rule in the new one too; meshpol plan shows what was copied."},
		{noteGRPC, "route statistics do not see gRPC status",
			"A gRPC call that fails has the HTTP status 200 and its code in a trailer. Istio's metrics of the clients " +
				"(istio_requests_total) have it: by instance they are read as they are, by request only with the tag " +
				"meshpol_cohort. Where neither is there the verdict is NoData, in step 0.",
			"Give the metrics the tag (docs/metrics.md), roll out by instance, or name another port of the service in " +
				"spec.target.port."},
		{noteTimeoutGone, "a timeout of 0s is written as no timeout, since Istio refuses 0s",
			"The field timeout is taken out of the route: requests may then take as long as the callee likes.",
			"Nothing, where that is meant. Else write in spec.request the longest time that a caller should wait."},
		{noteFilterByName, "an EnvoyFilter matches a route by its name and misses the clone",
			"The clone has a name of its own: until the fold, requests under the new policy go without what the " +
				"filter does.",
			"Let the filter match the virtual host without a route name for the time of the rollout. Where it must " +
				"not be missing at all (authentication, limits), go without a split: meshpol apply -f FILE."},
	}
}
