package validate

import (
	"github.com/meshpol/meshpol/pkg/strategy"
)

// Rules lists every rule, in the order in which they are asked: rules that ask the mesh come last, since they leave out
// what is known to be broken.
func Rules() []Rule {
	var out []Rule
	for _, family := range [][]Rule{semanticRules(), rolloutRules(), arithmeticRules(), liveRules(), versionRules(), meshRules()} {
		out = append(out, family...)
	}
	return out
}

func semanticRules() []Rule {
	return []Rule{
		{Code{"MP201", Error, "a try may take no time",
			"A perTryTimeout of 0s is refused by Istio and would end every try at once elsewhere.",
			"Leave perTryTimeout out to give a try the time of the whole request, or write a time such as 250ms."}, false, each(noTryTime)},
		{Code{"MP202", Warning, "many attempts",
			"Every repeat is a request more for a service that is failing already. With more than 10 attempts a " +
				"short fault becomes an overload.",
			"Write 2 or 3: they heal nearly everything that repeating can heal. Against longer faults set " +
				"outlierDetection in a CircuitBreaker."}, false, each(tooManyAttempts)},
		{Code{"MP205", Warning, "writes may be repeated",
			"After an answer such as 503 or a reset the first try may have been carried out. Repeating a POST or " +
				"PATCH then does it twice, unless the call is idempotent.",
			"Set on to connect-failure, refused-stream and reset-before-request, which happen before the request is " +
				"handled, or make the call idempotent."}, false, each(repeatsWrites)},
		{Code{"MP206", Warning, "the timeout is switched off",
			"A request of 0s means no timeout at all, not an instant one. Callers then hold connections and threads " +
				"as long as the callee likes.",
			"Write the longest time that a caller should wait, or keep 0s on purpose, for streams for instance."}, false, each(noTimeout)},
		{Code{"MP212", Error, "no backend has a weight",
			"When all weights are 0 no backend is chosen and every request fails; Linkerd's proxies even fail in a " +
				"way that a later write does not mend.",
			"Give at least one backend a weight above 0."}, false, each(noWeight)},
		{Code{"MP213", Error, "one backend twice",
			"Meshes treat the second entry differently: some add the weights, some refuse.",
			"Write the backend once, with the sum of the weights."}, false, each(sameBackend)},
		{Code{"MP214", Warning, "every endpoint may be ejected",
			"When all endpoints fail for a reason that they share (a database, a bad request), ejecting all of them " +
				"turns errors into no service.",
			"Write a maxEjectionPercent of 50 or less, so that some stay in."}, false, each(ejectsAll)},
		{Code{"MP215", Warning, "no endpoint is ever ejected",
			"A maxEjectionPercent of 0 counts failures but never acts on them.",
			"Write a share such as 50, or remove outlierDetection."}, false, each(ejectsNone)},
		{Code{"MP216", Warning, "everything is denied",
			"An allow policy admits what its rules match. Without rules it admits nothing: every request to the " +
				"target gets 403.",
			"Add a rule for each caller that may come in, or keep it on purpose to shut the target."}, false, each(allowsNothing)},
		{Code{"MP217", Warning, "nothing is denied",
			"A deny policy refuses what its rules match. Without rules it refuses nothing, so it is probably not " +
				"what was meant.",
			"Add a rule for what is to be refused, or remove the policy."}, false, each(deniesNothing)},
		{Code{"MP225", Error, "a time that no proxy can keep",
			"Istio takes durations of whole milliseconds, from 1ms on, and refuses others; Envoy itself counts in " +
				"milliseconds. Mostly the unit is wrong: us instead of ms.",
			"Write whole milliseconds: 250ms, 1.5s. A Timeout of 0s switches the timeout off."}, false, impossibleTimes},
		{Code{"MP226", Warning, "a time shorter than a call",
			"The way through two proxies and back takes a millisecond or two by itself. A timeout as short as that cuts " +
				"off requests that are well.",
			"Look at the latency of the target (p99), and write a time above it; 5ms is the least that is not warned of."}, false, shortTimes},
		{Code{"MP221", Warning, "a fault for most requests",
			"A fault that hits more than half of the requests is an outage, not an experiment: retries and fallbacks " +
				"that are to be tested do not survive it.",
			"Begin with a percentage of 1 to 5, and raise it when the callers have stood that."}, false, each(hitsMost)},
	}
}

func rolloutRules() []Rule {
	return []Rule{
		{Code{"MP203", Error, "weights that do not grow",
			"A canary only widens: each weight is above the one before.",
			"Write growing weights, such as 1, 5, 25, 50. The way back is no step: it is meshpol rollback."}, false, eachRollout(weightsDoNotGrow)},
		{Code{"MP204", Error, "a strategy of a later release",
			"blueGreen, rolling and ab can be written and checked, but this release cannot carry them out.",
			"Write strategy: {canary: {}} or {direct: {}} in the Rollout; docs/roadmap.md has what comes."}, false, eachRollout(laterStrategy)},
		{Code{strategy.CodeSmallProof, Warning, "a proof at a small share",
			"The last step before the bake must show a bound on the error rate. How long that takes depends on the " +
				"requests under the new policy: at a few percent it may never be shown.",
			"Add a last step of 25 to 50 % (steps in the Rollout, or --steps), or give it hours (max, or " +
				"--step-max)."}, false, eachRollout(smallProof)},
		{Code{"MP208", Warning, "pools canaried by request",
			"A pool limit counts per proxy, whatever the share of the requests: a limit of 60 under a load of 70 " +
				"refuses nearly nothing at half of the load and a fifth of it at all of the load.",
			"Write by: instance in the Rollout, or leave by out: each pod then has all of its traffic, and the limit " +
				"shows what it does."}, false, eachRollout(poolsByRequest)},
		{Code{"MP209", Error, "a Rollout names a policy that is not there",
			"Every policy in a Rollout's list must be in the files of the same run.",
			"Add its file with -f, correct kind, namespace or name in spec.policies, or remove the entry."}, false, eachRollout(missingPolicy)},
		{Code{"MP210", Warning, "a policy without a Rollout",
			"Every Rollout of the files has a list, and the policy is in none of them: no run would bring it into " +
				"force.",
			"Add it to spec.policies of a Rollout, or roll its file out by itself."}, false, withoutRollout},
		{Code{"MP211", Error, "a policy in two Rollouts",
			"Two Rollouts would move the same policy at different speeds. Policies of one target move as one.",
			"Name it in one of them only. A Rollout without spec.policies takes every policy of the files: give it a " +
				"list."}, false, twoRollouts},
		{Code{"MP218", Warning, "an SLO without an error budget",
			"The floor under the error rate is 1 minus the SLO. At 100 % it is zero, so no bound can be shown and " +
				"every rollout ends inconclusive.",
			"Write the share that the service promises, such as 99.9, or leave successRate out: the floor is then " +
				"three times the old error rate, at least 0.02 % and at most 0.1 %."}, false, eachRollout(noErrorBudget)},
		{Code{"MP219", Warning, "a time shorter than a tick",
			"The judge looks at whole ticks. A step or a bake that ends before the first tick is not judged.",
			"Make bake and the steps' max several ticks long. A tick is 15s; a shorter one (spec.analysis.tick, " +
				"--tick) needs Prometheus to scrape as often."}, false, eachRollout(shorterThanATick)},
		{Code{"MP223", Warning, "a rollout that goes on without data",
			"onNoData: promote lets a policy through where nothing tells whether it does harm. Requests that hang are in " +
				"no count, so that a policy under which everything hangs would go to 100 %.",
			"Leave onNoData out (wait), or write rollback or pause. To go without analysis at all: --no-analysis."}, false, eachRollout(promotesBlindly)},
		{Code{"MP224", Warning, "refusals without a limit",
			"allow.refused is the share of requests that the policy may refuse without that being harm. Above some " +
				"percent a policy that refuses what it should not is not noticed.",
			"Write the share that the policy refuses by design, such as 0.5, from what was seen before."}, false, eachRollout(refusesFreely)},
		{Code{"MP220", Error, "a deadline before the end",
			"The deadline is the time from the start, pauses included, after which a rollout that is not at its end is " +
				"taken back. It must leave time for the least time of all steps.",
			"Raise deadline (or --deadline) well above the sum of all min and pause times, step 0, bake and fold " +
				"included, or shorten those."}, false, eachRollout(deadlineTooShort)},
	}
}

func arithmeticRules() []Rule {
	return []Rule{
		{Code{"MP301", Warning, "retries that the timeout cuts off",
			"The timeout of a request holds for all tries together. When (attempts + 1) × perTryTimeout, with the " +
				"pauses between, is longer than the timeout, the last tries never happen: what looks like three attempts " +
				"may be one.",
			"Shorten perTryTimeout, lower attempts, or lengthen request of the Timeout; the finding has the numbers " +
				"that fit."}, false, pairs(triesDoNotFit)},
		{Code{"MP302", Error, "a try as long as the whole request",
			"When one try may take as long as the whole request, a try that hangs uses up the timeout and is never " +
				"repeated: the retry does nothing against slowness, which is what perTryTimeout is for.",
			"Write the perTryTimeout that the finding names: request / (attempts + 1), less the pauses. Or leave it " +
				"out, where only quick failures are to be repeated."}, false, pairs(noRetryFits)},
		{Code{"MP303", Error, "two policies for the same requests",
			"Two policies of one kind on one target with a request in common contradict each other, and meshes " +
				"differ in which of them wins. Authorization is exempt: its policies add up.",
			"Merge them into one, or narrow them with target.routes or target.port until no request fits both."}, false, sameKind},
		{Code{"MP304", Warning, "retries of what a rate limit refuses",
			"A refused request that is sent again counts against the limit again. Under overload, retries of 429 " +
				"multiply exactly the load that the limit is to shed.",
			"Remove 429 and envoy-ratelimited from on in the Retry."}, false, pairs(retriesRefusals)},
		{Code{"MP305", Error, "the two sides of mutual TLS disagree",
			"Servers that are strict accept the mesh's certificates only. Clients that are told to use something " +
				"else fail on every call.",
			"Write client.mode: istio-mutual, or mode: permissive for the servers until every client has changed."}, false, pairs(sidesDisagree)},
		{Code{"MP306", Info, "a fault in front of retries and timeouts",
			"Proxies inject faults before they route, so an injected error is not repeated by the Retry of the same " +
				"hop and an injected delay is not cut off by its Timeout. The caller's own code sees the fault.",
			"Nothing, where the caller's code is to be tested. To see the Retry or Timeout at work, inject the fault " +
				"one hop further on, at a service that the callee calls."}, false, pairs(faultsComeFirst)},
		{Code{"MP307", Warning, "an ejection share of less than one endpoint",
			"The share is taken of the endpoints that there are. With few of them a small share is less than one, " +
				"and recent Envoys then eject nothing.",
			"Write at least 100 divided by the number of endpoints, rounded up: 34 for three of them."}, true, ejectsLessThanOne},
	}
}

func liveRules() []Rule {
	return []Rule{
		{Code{"MP401", Error, "the Service is not there",
			"A policy acts on a Service that exists. Mostly the name or the namespace is wrong.",
			"Correct spec.target.service or metadata.namespace (kubectl get services -A), or deploy the Service " +
				"first."}, true, eachLive(noService)},
		{Code{"MP402", Error, "no server has a proxy",
			"The policy is enforced by the proxies of the target's pods. None of them has one.",
			"Bring the pods into the mesh: label the namespace (kubectl label namespace NAMESPACE " +
				"istio-injection=enabled, or istio.io/rev=REVISION) and restart them (kubectl rollout restart deployment " +
				"NAME -n NAMESPACE)."}, true, eachLive(noServerProxy)},
		{Code{"MP403", Error, "no client has a proxy",
			"The policy is enforced by the proxies of the callers. No pod that could be read has one.",
			"Bring the callers into the mesh: label their namespaces (istio-injection=enabled or " +
				"istio.io/rev=REVISION) and restart their Deployments. Where some have proxies, let this identity list " +
				"the pods of all namespaces."}, true, eachLive(noClientProxy)},
		{Code{"MP404", Warning, "another rollout has the object in hand",
			"An object that bears meshpol.io/rollout belongs to a rollout that is not at its end. A second one would " +
				"not start (exit code 7).",
			"Wait for its end (meshpol status -A), or take it back (meshpol rollout abort NAME -n NAMESPACE). Only " +
				"where no such rollout is listed, take the annotations meshpol.io/rollout and meshpol.io/fence off by " +
				"hand."}, true, eachLive(bearsMarks)},
		{Code{"MP405", Error, "no pod has the labels",
			"A workload target selects pods by their labels. No pod in the namespace has all of them.",
			"Correct the labels or the namespace (kubectl get pods -n NAMESPACE --show-labels)."}, true, eachLive(noWorkload)},
		{Code{"MP406", Error, "the Service has no such port",
			"The port is one of the Service's own ports, not a port of the pods.",
			"Write one of the ports that the finding lists, or leave target.port out to mean every port."}, true, eachLive(noPort)},
		{Code{"MP407", Error, "a backend Service is not there",
			"Requests would be sent to a Service that does not exist, and fail.",
			"Deploy the Service first, in the policy's namespace, or correct its name in spec.backends."}, true, backends(noBackendService)},
		{Code{"MP408", Error, "a backend has no pods",
			"Requests would be sent to pods that do not exist, and fail.",
			"Deploy the pods first, correct the backend's labels (kubectl get pods -n NAMESPACE --show-labels), or " +
				"write weight: 0 until they are there."}, true, backends(noBackendPods)},
		{Code{"MP409", Error, "no ServiceEntry has the host",
			"A host target is a host of a ServiceEntry. Without one the mesh does not know the host, and nothing can " +
				"be set for it.",
			"Create the ServiceEntry first, or write a host that one of them has (kubectl get serviceentries -A)."}, true, eachLive(noServiceEntry)},
		{Code{"MP410", Error, "the Gateway is not there",
			"A gateway target names a Gateway, in the policy's namespace where it names none.",
			"Write gateway: NAMESPACE/NAME where it is in another namespace (kubectl get " +
				"gateways.networking.istio.io -A)."}, true, eachLive(noGateway)},
		{Code{"MP411", Warning, "some servers have no proxy",
			"Pods without a proxy do not enforce the policy. For a limit or an authorization this is a way around " +
				"it.",
			"Restart those that are older than the injection (kubectl rollout restart deployment NAME -n NAMESPACE) " +
				"and bring the others into the mesh, or know that they stay open."}, true, eachLive(someServersWithoutProxy)},
	}
}

func versionRules() []Rule {
	return []Rule{
		{Code{"MP601", Warning, "something could not be read",
			"A rule that cannot see an object cannot warn of it, and everything else was decided without it.",
			"Bind the roles of docs/role.yaml to this identity (docs/permissions.md), or know what was not looked " +
				"at. kubectl auth can-i list KIND -A shows what is missing."}, true, unread},
		{Code{"MP602", Error, "there is no mesh",
			"The cluster has none of the meshes that meshpol knows, or not the one that was chosen.",
			"Check the context (kubectl config get-contexts, --context NAME) and that Istio's CRDs are installed. " +
				"Files alone are checked with --offline."}, true, noMesh},
		{Code{"MP603", Warning, "the mesh's version is not known",
			"Some fields need a version. Without knowing it they are compiled and may be refused by the API server, " +
				"before the first write.",
			"See whether the control plane runs (kubectl get pods -A -l app=istiod), and let this identity list its " +
				"pods: docs/role.yaml."}, true, unknownVersion},
		{Code{"MP604", Warning, "an old mesh",
			"meshpol's objects were checked against the CRDs of Istio 1.20 and later.",
			"Upgrade Istio. Until then try it in staging, and let the API server judge every write first: meshpol " +
				"rollout -f FILE --dry-run."}, true, oldVersion},
		{Code{"MP605", Error, "the cluster lacks the mesh's resources",
			"The policy is written as resources of kinds that the API server does not know.",
			"Install Istio's CRDs, or choose another --context (kubectl get crd virtualservices.networking.istio.io " +
				"shows whether they are there)."}, true, noResources},
	}
}

func meshRules() []Rule {
	return []Rule{
		{Code{"MP501", Error, "the mesh cannot carry the policy",
			"The policies are compiled for the mesh as a rollout would do it. What cannot be expressed is refused " +
				"with a code of the mesh's own; this code stands for a failure that has none.",
			"It is a fault of meshpol: report it, with the finding, the policies, and the VirtualServices and " +
				"DestinationRules of the service."}, true, notExpressible},
	}
}
