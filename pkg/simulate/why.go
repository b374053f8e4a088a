package simulate

import (
	"strings"
	"unicode"
)

// Why is the commonest reason of an end that is no pass.
type Why struct {
	End string `json:"end"`
	// Step is where most ended so, Reason what most said there: the numbers are those of one run.
	Step   string `json:"step"`
	Reason string `json:"reason"`
	// Runs is how many ended so at this step, Of how many at any.
	Runs int `json:"runs"`
	Of   int `json:"of"`
}

// whys say of every end that is no pass at which step it mostly was, and what was mostly said there. Reasons that differ in
// their numbers alone are one.
func whys(outcomes []outcome) []Why {
	var out []Why
	for _, end := range Ends() {
		var these []outcome
		for _, o := range outcomes {
			if o.end == end && o.reason != "" {
				these = append(these, o)
			}
		}
		if len(these) == 0 {
			continue
		}
		at := commonest(these, func(o outcome) string { return o.step })
		said := commonest(at, func(o outcome) string { return shape(o.reason) })
		out = append(out, Why{End: string(end), Step: at[0].step, Reason: said[0].reason, Runs: len(at), Of: len(these)})
	}
	return out
}

// commonest are the outcomes that have the commonest key, the first one's where two are as common.
func commonest(outcomes []outcome, key func(outcome) string) []outcome {
	groups := map[string][]outcome{}
	for _, o := range outcomes {
		groups[key(o)] = append(groups[key(o)], o)
	}
	most := groups[key(outcomes[0])]
	for _, o := range outcomes {
		if g := groups[key(o)]; len(g) > len(most) {
			most = g
		}
	}
	return most
}

// shape is a reason without its numbers.
func shape(reason string) string {
	var out strings.Builder
	digits := false
	for _, r := range reason {
		number := unicode.IsDigit(r) || (digits && (r == '.' || r == ','))
		if number && !digits {
			out.WriteByte('#')
		}
		if !number {
			out.WriteRune(r)
		}
		digits = number
	}
	return out.String()
}
