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
			"A perTryTimeout of 0s is refused by Istio and would end every try at once elsewhere. Leave it out to " +
				"give a try the time of the whole request."}, false, each(noTryTime)},
		{Code{"MP202", Warning, "many attempts",
			"Every repeat is a request more for a service that is failing already. With more than 10 attempts a " +
				"short fault becomes an overload. Two or three attempts heal nearly everything that repeating can heal."}, false, each(tooManyAttempts)},
		{Code{"MP205", Warning, "writes may be repeated",
			"After an answer such as 503 or a reset the first try may have been carried out. Repeating a POST or " +
				"PATCH then does it twice, unless the call is idempotent. The failures connect-failure, refused-stream " +
				"and reset-before-request happen before the request is handled."}, false, each(repeatsWrites)},
		{Code{"MP206", Warning, "the timeout is switched off",
			"A request of 0s means no timeout at all, not an instant one. Callers then hold connections and threads " +
				"as long as the callee likes."}, false, each(noTimeout)},
		{Code{"MP212", Error, "no backend has a weight",
			"When all weights are 0 no backend is chosen and every request fails; Linkerd's proxies even fail in a " +
				"way that a later write does not mend."}, false, each(noWeight)},
		{Code{"MP213", Error, "one backend twice",
			"Meshes treat the second entry differently: some add the weights, some refuse. Write the sum once."}, false, each(sameBackend)},
		{Code{"MP214", Warning, "every endpoint may be ejected",
			"When all endpoints fail for a reason that they share (a database, a bad request), ejecting all of them " +
				"turns errors into no service. Keep some in."}, false, each(ejectsAll)},
		{Code{"MP215", Warning, "no endpoint is ever ejected",
			"A maxEjectionPercent of 0 counts failures but never acts on them."}, false, each(ejectsNone)},
		{Code{"MP216", Warning, "everything is denied",
			"An allow policy admits what its rules match. Without rules it admits nothing: every request to the " +
				"target gets 403."}, false, each(allowsNothing)},
		{Code{"MP217", Warning, "nothing is denied",
			"A deny policy refuses what its rules match. Without rules it refuses nothing, so it is probably not " +
				"what was meant."}, false, each(deniesNothing)},
		{Code{"MP221", Warning, "a fault for most requests",
			"A fault that hits more than half of the requests is an outage, not an experiment: retries and " +
				"fallbacks that are to be tested do not survive it."}, false, each(hitsMost)},
	}
}

func rolloutRules() []Rule {
	return []Rule{
		{Code{"MP203", Error, "weights that do not grow",
			"A canary only widens: each weight is above the one before. To go back there is rollback."}, false, eachRollout(weightsDoNotGrow)},
		{Code{"MP204", Error, "a strategy of a later release",
			"blueGreen, rolling and ab can be written and checked, but this release cannot carry them out. canary " +
				"and direct work."}, false, eachRollout(laterStrategy)},
		{Code{strategy.CodeSmallProof, Warning, "a proof at a small share",
			"The last step before the bake must show a bound on the error rate. How long that takes depends on the " +
				"requests under the new policy: at a few percent it may never be shown. Add a step of 25 to 50 %."}, false, eachRollout(smallProof)},
		{Code{"MP208", Warning, "pools canaried by request",
			"A pool limit counts per proxy, whatever the share of the requests: a limit of 60 under a load of 70 " +
				"refuses nearly nothing at half of the load and a fifth of it at all of the load. By instance each pod " +
				"has all of its traffic, so the limit shows what it does."}, false, eachRollout(poolsByRequest)},
		{Code{"MP209", Error, "a Rollout names a policy that is not there",
			"Every policy in a Rollout's list must be in the files of the same run."}, false, eachRollout(missingPolicy)},
		{Code{"MP210", Warning, "a policy without a Rollout",
			"Every Rollout of the files has a list, and the policy is in none of them."}, false, withoutRollout},
		{Code{"MP211", Error, "a policy in two Rollouts",
			"Two Rollouts would move the same policy at different speeds. Policies of one target move as one."}, false, twoRollouts},
		{Code{"MP218", Warning, "an SLO without an error budget",
			"The floor under the error rate is 1 minus the SLO. At 100 % it is zero, so no bound can be shown and " +
				"every rollout ends inconclusive."}, false, eachRollout(noErrorBudget)},
		{Code{"MP219", Warning, "a time shorter than a tick",
			"The judge looks at whole ticks. A step or a bake that ends before the first tick is not judged."}, false, eachRollout(shorterThanATick)},
		{Code{"MP220", Error, "a deadline before the end",
			"The deadline is when a rollout that nobody looks after is taken back. It must leave time for the least " +
				"time of all steps."}, false, eachRollout(deadlineTooShort)},
	}
}

func arithmeticRules() []Rule {
	return []Rule{
		{Code{"MP301", Warning, "retries that the timeout cuts off",
			"The timeout of a request holds for all tries together. When (attempts + 1) × perTryTimeout, with the " +
				"pauses between, is longer than the timeout, the last tries never happen: what looks like three " +
				"attempts may be one."}, false, pairs(triesDoNotFit)},
		{Code{"MP302", Error, "a try as long as the whole request",
			"When one try may take as long as the whole request, a try that hangs uses up the timeout and is never " +
				"repeated: the retry does nothing against slowness, which is what perTryTimeout is for."}, false, pairs(noRetryFits)},
		{Code{"MP303", Error, "two policies for the same requests",
			"Two policies of one kind on one target with a request in common contradict each other, and meshes " +
				"differ in which of them wins. Authorization is exempt: its policies add up."}, false, sameKind},
		{Code{"MP304", Warning, "retries of what a rate limit refuses",
			"A refused request that is sent again counts against the limit again. Under overload, retries of 429 " +
				"multiply exactly the load that the limit is to shed."}, false, pairs(retriesRefusals)},
		{Code{"MP305", Error, "the two sides of mutual TLS disagree",
			"Servers that are strict accept the mesh's certificates only. Clients that are told to use something " +
				"else fail on every call."}, false, pairs(sidesDisagree)},
		{Code{"MP306", Info, "a fault in front of retries and timeouts",
			"Proxies inject faults before they route, so an injected error is not repeated by the Retry of the same " +
				"hop and an injected delay is not cut off by its Timeout. The caller's own code sees the fault."}, false, pairs(faultsComeFirst)},
		{Code{"MP307", Warning, "an ejection share of less than one endpoint",
			"The share is taken of the endpoints that there are. With few of them a small share is less than one, " +
				"and recent Envoys then eject nothing."}, true, ejectsLessThanOne},
	}
}

func liveRules() []Rule {
	return []Rule{
		{Code{"MP401", Error, "the Service is not there",
			"A policy acts on a Service that exists. Mostly the name or the namespace is wrong."}, true, eachLive(noService)},
		{Code{"MP402", Error, "no server has a proxy",
			"The policy is enforced by the proxies of the target's pods. None of them has one."}, true, eachLive(noServerProxy)},
		{Code{"MP403", Error, "no client has a proxy",
			"The policy is enforced by the proxies of the callers. No pod that could be read has one."}, true, eachLive(noClientProxy)},
		{Code{"MP404", Warning, "another rollout has the object in hand",
			"An object that bears meshpol.io/rollout belongs to a rollout that is not at its end. A second one " +
				"would not start (exit code 7)."}, true, eachLive(bearsMarks)},
		{Code{"MP405", Error, "no pod has the labels",
			"A workload target selects pods by their labels. No pod in the namespace has all of them."}, true, eachLive(noWorkload)},
		{Code{"MP406", Error, "the Service has no such port",
			"The port is one of the Service's own ports, not a port of the pods."}, true, eachLive(noPort)},
		{Code{"MP407", Error, "a backend Service is not there",
			"Requests would be sent to a Service that does not exist, and fail."}, true, backends(noBackendService)},
		{Code{"MP408", Error, "a backend has no pods",
			"Requests would be sent to pods that do not exist, and fail."}, true, backends(noBackendPods)},
		{Code{"MP409", Error, "no ServiceEntry has the host",
			"A host target is a host of a ServiceEntry."}, true, eachLive(noServiceEntry)},
		{Code{"MP410", Error, "the Gateway is not there",
			"A gateway target names a Gateway, in the policy's namespace where it names none."}, true, eachLive(noGateway)},
		{Code{"MP411", Warning, "some servers have no proxy",
			"Pods without a proxy do not enforce the policy. For a limit or an authorization this is a way around " +
				"it."}, true, eachLive(someServersWithoutProxy)},
	}
}

func versionRules() []Rule {
	return []Rule{
		{Code{"MP601", Warning, "something could not be read",
			"A rule that cannot see an object cannot warn of it. Grant the right, or know what was not looked at."}, true, unread},
		{Code{"MP602", Error, "there is no mesh",
			"The cluster has none of the meshes that meshpol knows, or not the one that was chosen."}, true, noMesh},
		{Code{"MP603", Warning, "the mesh's version is not known",
			"Some fields need a version. Without knowing it they are compiled and may be refused by the API server, " +
				"before the first write."}, true, unknownVersion},
		{Code{"MP604", Warning, "an old mesh",
			"meshpol's objects were checked against the CRDs of Istio 1.20 and later."}, true, oldVersion},
		{Code{"MP605", Error, "the cluster lacks the mesh's resources",
			"The policy is written as resources of kinds that the API server does not know."}, true, noResources},
	}
}

func meshRules() []Rule {
	return []Rule{
		{Code{"MP501", Error, "the mesh cannot carry the policy",
			"The policies are compiled for the mesh as a rollout would do it. What cannot be expressed is refused " +
				"with a code of the mesh's own; this code stands for a failure that has none."}, true, notExpressible},
	}
}
