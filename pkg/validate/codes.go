package validate

import (
	"cmp"
	"slices"
	"strings"

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
	// Why says why it matters and what to do.
	Why string `json:"why"`
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

// Explain finds a code, in whatever case it is written.
func Explain(code string) (Code, bool) {
	for _, c := range Codes() {
		if strings.EqualFold(c.Code, code) {
			return c, true
		}
	}
	return Code{}, false
}

// schemaCodes are the codes of policy.Load.
func schemaCodes() []Code {
	return []Code{
		{policy.CodeRead, Error, "a file cannot be read",
			"The file is missing, locked, larger than 10 MiB, not UTF-8, or has a thousand faults. Nothing of it is " +
				"used, and nothing is written to the cluster."},
		{policy.CodeSyntax, Error, "a file is not YAML",
			"The line names where the parser lost its way; the cause is often in the line before. Indent with " +
				"spaces: YAML forbids tabs."},
		{policy.CodeNotPlain, Error, "anchors, aliases and tags are not allowed",
			"They make a document mean more than it shows, and an alias can grow without bound. Write the value " +
				"itself."},
		{policy.CodeEmpty, Error, "there is nothing to read",
			"No file was given, a directory holds no .yaml, .yml or .json file, or a file holds no document. An " +
				"empty set is refused, because a typing error in a path must not look like success."},
		{policy.CodeAPIVersion, Error, "another apiVersion",
			"meshpol reads meshpol.io/v1alpha1 only. Keep other documents, such as the mesh's own resources, in a " +
				"directory of their own."},
		{policy.CodeKind, Error, "an unknown kind",
			"The kinds are Authorization, CircuitBreaker, FaultInjection, MutualTLS, RateLimit, Retry, Timeout, " +
				"TrafficShift and Rollout."},
		{policy.CodeUnknown, Error, "an unknown field",
			"A misspelt field that is ignored in silence is a policy that does not do what its author thinks. " +
				"Fields of the design that come later are named as such."},
		{policy.CodeTwice, Error, "one key twice",
			"Which of the two would count depends on the parser. Keep one."},
		{policy.CodeType, Error, "a value of another type",
			"Texts that look like numbers need quotes, durations need a unit (250ms), and a key without a value " +
				"means nothing."},
		{policy.CodeMissing, Error, "a required field is missing",
			"The field has no default that would be right for everybody."},
		{policy.CodeValue, Error, "an impossible value",
			"The value is outside the range, the list of words or the format of its field. The message names what " +
				"is allowed."},
		{policy.CodeTogether, Error, "fields that exclude or need each other",
			"One of the fields decides what the other one says, or means nothing without it."},
		{policy.CodeTarget, Error, "a target that the kind cannot have",
			"A policy acts in the proxies of the callers or of the servers, and not every kind can be narrowed to a " +
				"route, a workload or a host."},
		{policy.CodeDuplicate, Error, "two documents with one name",
			"Kind, namespace and name identify a policy in status, history and rollback. Give one of them another " +
				"name."},
	}
}

// noteCodes are codes that stand in a plan's notes.
func noteCodes() []Code {
	return []Code{
		{strategy.CodeDropped, Info, "a step is left out for lack of traffic",
			"At this share the target would not get twice the least number of requests within the step's longest " +
				"time, so the step could only end without a verdict. Lengthen max, or begin with a wider step."},
	}
}
