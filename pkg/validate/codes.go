package validate

import (
	"cmp"
	"slices"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// Code is a stable finding code with what is to be known of it.
type Code struct {
	// Code is MP and three digits.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Title is the finding in one line, without particulars.
	Title string `json:"title"`
	// Why says why it matters, Next what to do.
	Why  string `json:"why"`
	Next string `json:"next"`
}

// Codes lists every code of this package and of policy.Load, sorted. A mesh has a list of its own.
func Codes() []Code {
	out := append(schemaCodes(), noteCodes()...)
	for _, r := range Rules() {
		out = append(out, r.Code)
	}
	slices.SortFunc(out, func(a, b Code) int { return cmp.Compare(a.Code, b.Code) })
	return out
}

// schemaCodes are the codes of policy.Load.
func schemaCodes() []Code {
	return []Code{
		{policy.CodeRead, Error, "a file cannot be read",
			"The file is missing, locked, larger than 10 MiB, not UTF-8, or has a thousand faults. Nothing of it is " +
				"used, and nothing is written to the cluster.",
			"Check path and permissions, save the file as UTF-8, split one above 10 MiB; of one with a thousand " +
				"faults mend the first and try again."},
		{policy.CodeSyntax, Error, "a file is not YAML",
			"The line names where the parser lost its way; the cause is often in the line before.",
			"Look there for a missing colon, quote or dash, and indent with spaces: YAML forbids tabs."},
		{policy.CodeNotPlain, Error, "anchors, aliases and tags are not allowed",
			"They make a document mean more than it shows, and an alias can grow without bound.",
			"Write the value itself wherever it is meant, and leave tags such as !!str out."},
		{policy.CodeEmpty, Error, "there is nothing to read",
			"No file was given, a directory holds no .yaml, .yml or .json file, or a file holds no document. An " +
				"empty set is refused, because a typing error in a path must not look like success.",
			"Name the files with -f, add -R where they are in directories further down, and leave empty files out."},
		{policy.CodeAPIVersion, Error, "another apiVersion",
			"meshpol reads meshpol.io/v1alpha1 only. To skip another document in silence would skip a misspelt " +
				"policy, too.",
			"Write apiVersion: meshpol.io/v1alpha1. Keep other documents, such as the mesh's own resources, in a " +
				"directory of their own."},
		{policy.CodeKind, Error, "an unknown kind",
			"The kind decides which fields there are, so that nothing of the document can be read.",
			"Write Authorization, CircuitBreaker, FaultInjection, MutualTLS, RateLimit, Retry, Timeout, TrafficShift " +
				"or Rollout, with these capitals."},
		{policy.CodeUnknown, Error, "an unknown field",
			"A misspelt field that is ignored in silence is a policy that does not do what its author thinks. Fields " +
				"of the design that come later are named as such.",
			"Write it as the finding suggests; docs/reference/policies.md has all fields, and with " +
				"docs/reference/schema an editor completes them. Remove a field of a later release."},
		{policy.CodeTwice, Error, "one key twice",
			"Which of the two would count depends on the parser.",
			"Keep one of them; the finding names the line of the other."},
		{policy.CodeType, Error, "a value of another type",
			"What would have to be guessed at is refused: 500 may be milliseconds or seconds, and a key without a " +
				"value means nothing.",
			"Put texts that look like numbers into quotes, give durations a unit (250ms), and remove a key that has " +
				"no value."},
		{policy.CodeMissing, Error, "a required field is missing",
			"The field has no default that would be right for everybody.",
			"Add it; docs/reference/policies.md has an example of every kind."},
		{policy.CodeValue, Error, "an impossible value",
			"The value is outside the range, the list of words or the format of its field.",
			"Write a value that the finding names as allowed; docs/reference/policies.md has the limits of every " +
				"field."},
		{policy.CodeTogether, Error, "fields that exclude or need each other",
			"One of the fields decides what the other one says, or means nothing without it.",
			"Keep one of two that exclude each other, and add the one that the other needs; the finding names both."},
		{policy.CodeTarget, Error, "a target that the kind cannot have",
			"A policy acts in the proxies of the callers or of the servers, and not every kind can be narrowed to a " +
				"route, a workload or a host.",
			"Choose one of the targets that the finding allows, and leave target.routes out where the kind holds for " +
				"a whole service."},
		{policy.CodeDuplicate, Error, "two documents with one name",
			"Kind, namespace and name identify a policy in status, history and rollback.",
			"Give one of them another name, or remove it. Where only one was written, look for a copy of the file " +
				"below what -f names."},
	}
}

// The codes of cohorts that are too small to be compared.
const (
	CodeOneClient  = "MP227"
	CodeTwoClients = "MP228"
)

// FewClients is the finding of a canary by instance that has so few client pods that one of them is most of the traffic.
// How many there are is known where a metrics source says it; 0: not known.
func FewClients(p policy.Policy, clients int) []Finding {
	switch clients {
	case 1:
		f := about(p, "spec.target", "one pod calls the target: by instance the first step is all of the traffic, and no verdict is possible",
			"go by request (--by request), or bring it into force at once, judged before and after (meshpol apply)")
		f.Code, f.Severity = CodeOneClient, Error
		return []Finding{f}
	case 2:
		f := about(p, "spec.target", "two pods call the target: by instance the first step is half of the traffic, and one pod is compared with one",
			"scale the client to four pods or more, or go by request (--by request)")
		f.Code, f.Severity = CodeTwoClients, Warning
		return []Finding{f}
	}
	return nil
}

// noteCodes are codes of what is known only when a plan is made: in its notes, or as findings of the command.
func noteCodes() []Code {
	return []Code{
		{CodeOneClient, Error, "by instance, and one client pod",
			"By instance a whole pod comes under the new policy. Where it is the only one that calls the target, the first " +
				"step is all of the traffic, nobody is left under the old policy, and no verdict is possible.",
			"Go by request (--by request, by: request), which compares the requests of one pod with each other; or bring " +
				"the policy into force at once, judged before and after (meshpol apply, strategy: {direct: {}}); or scale the " +
				"client to four pods or more."},
		{CodeTwoClients, Warning, "by instance, and two client pods",
			"The first step is half of the traffic, and one pod is compared with one: what tells the two apart by itself " +
				"(a node, a zone, a share of the users) looks like the policy.",
			"Scale the client to four pods or more, or go by request (--by request)."},
		{strategy.CodeDropped, Info, "a step is left out for lack of traffic",
			"At this share the target would not get twice the least number of requests within the step's longest " +
				"time, so the step could only end without a verdict.",
			"Nothing, where the wider steps are enough. Else give the step time (max, --step-max), ask for fewer " +
				"requests (--min-requests), or begin with a wider step (--steps)."},
	}
}
