package istio

import (
	"regexp"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// requestID is the header that Envoy gives to every request before it picks a route.
const requestID = "x-request-id"

// condition is one more match: all of it must hold. Several conditions are alternatives.
type condition struct {
	headers tree
	// source are labels of the client pod. Istio ignores them where a match lists gateways.
	source map[string]string
}

// byPod tells whether the condition is evaluated by istiod against the proxy's own labels.
func (c condition) byPod() bool { return len(c.source) > 0 }

// cohort gives the alternatives of an exposure. None means nobody; one empty condition means everybody.
func cohort(e policy.Exposure, target policy.Target, rev string) []condition {
	switch e.By {
	case policy.ByRequest:
		return byRequest(e.Window)
	case policy.ByInstance:
		return []condition{{source: map[string]string{target.CohortLabel(): rev}}}
	default:
		return byMatch(e.Match)
	}
}

// byRequest matches the ids of a window. The full window matches everything, ids that are not accepted included.
func byRequest(w policy.Window) []condition {
	switch {
	case w.Width <= 0:
		return nil
	case w.Width >= policy.Buckets:
		return []condition{{}}
	}
	return []condition{{headers: tree{requestID: tree{"regex": windowRegex(w)}}}}
}

func byMatch(matches []v1alpha1.ABMatch) []condition {
	var out []condition
	for _, m := range matches {
		switch {
		case m.Header != nil:
			out = append(out, condition{headers: tree{strings.ToLower(m.Header.Name): headerValue(m.Header.Value)}})
		case m.Cookie != nil:
			out = append(out, condition{headers: tree{"cookie": tree{"regex": cookieRegex(*m.Cookie)}}})
		case len(m.Source) > 0:
			out = append(out, condition{source: m.Source})
		}
	}
	return out
}

// headerValue matches a value exactly; without a value the header's presence is enough.
func headerValue(v string) tree {
	if v == "" {
		return tree{}
	}
	return tree{"exact": v}
}

// cookieRegex finds one cookie among those of the header; Envoy matches the whole value.
func cookieRegex(c v1alpha1.NameValue) string {
	return "(.*; *)?" + regexp.QuoteMeta(c.Name) + "=" + regexp.QuoteMeta(c.Value) + "(;.*)?"
}

// windowRegex matches, as a whole, exactly the ids that policy.Bucket accepts and the window contains: both forms have
// 8 digits first and 12 last. It holds no character that JSON escapes, and stays far below the program size that Istio
// lets Envoy take (re2.max_program_size.error_level: 32768).
func windowRegex(w policy.Window) string {
	const hex = "[0-9a-f]"
	middle := "(-" + hex + "{4}-[479ab]" + hex + "{3}-" + hex + "{4}-|" + hex + "{12})"
	return "(?i)" + hex + "{8}" + middle + hex + "{9}(" + strings.Join(tails(w.Suffixes()), "|") + ")"
}

// tails are patterns of the last three digits: suffixes that differ in their first digit only become one class.
func tails(suffixes []string) []string {
	type shape struct {
		digits int
		rest   string
	}
	var order []shape
	firsts := map[shape]string{}
	for _, s := range suffixes {
		first := s[:min(1, len(s))]
		k := shape{digits: len(s), rest: s[len(first):]}
		if _, ok := firsts[k]; !ok {
			order = append(order, k)
		}
		firsts[k] += first
	}
	var out []string
	for _, k := range order {
		out = append(out, strings.Repeat("[0-9a-f]", 3-k.digits)+class(firsts[k])+k.rest)
	}
	return out
}

// class is a character class of hex digits, runs of three and more as ranges.
func class(digits string) string {
	if len(digits) < 2 {
		return digits
	}
	sorted := []byte(digits)
	slices.Sort(sorted)
	var b strings.Builder
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if j-i < 2 {
			j = i
			b.WriteByte(sorted[i])
		} else {
			b.WriteString(string(sorted[i]) + "-" + string(sorted[j]))
		}
		i = j + 1
	}
	return "[" + b.String() + "]"
}
