package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/validate"
)

func newExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain [CODE]", GroupID: "files", Args: asUsage(cobra.MaximumNArgs(1)), ValidArgsFunction: completeCodes,
		Short: "Say what a finding means and what to do about it",
		Long: `Say what the stable code of a finding means, why it matters and what to do. Without a code, list all of them with
severity and title; -o json and -o yaml list everything that is known of each. It needs no cluster.

` + exitHelp(exitOK, exitUsage),
		Example: `  meshpol explain MP301
  meshpol explain MP301 -o json
  meshpol explain                  # all codes`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.answers().Explanations(explanations())
			}
			doc, err := explanation(args[0])
			if err != nil {
				return err
			}
			return a.answers().Explanation(doc)
		},
	}
}

// explanations are the codes of the rules and of every mesh, sorted.
func explanations() []printer.ExplanationDocument {
	var out []printer.ExplanationDocument
	for _, c := range validate.Codes() {
		out = append(out, printer.ExplanationDocument{Code: c.Code, Severity: string(c.Severity), Title: c.Title, Why: c.Why, Next: c.Next})
	}
	for _, c := range istio.Codes() {
		out = append(out, printer.ExplanationDocument{Code: c.Code, Severity: c.Severity(), Title: c.Title, Why: c.Why, Next: c.Next})
	}
	slices.SortFunc(out, func(a, b printer.ExplanationDocument) int { return cmp.Compare(a.Code, b.Code) })
	return out
}

// explanation looks a code up, in whatever case it is written.
func explanation(code string) (printer.ExplanationDocument, error) {
	all := explanations()
	if i := slices.IndexFunc(all, func(e printer.ExplanationDocument) bool { return strings.EqualFold(e.Code, code) }); i >= 0 {
		return all[i], nil
	}
	return printer.ExplanationDocument{}, noSuchCode(code)
}

// noSuchCode says what a person who wrote something else than a code is looking for.
func noSuchCode(code string) error {
	kinds := []string{policy.RolloutKind}
	for _, k := range policy.Kinds() {
		kinds = append(kinds, k.Name)
	}
	if i := slices.IndexFunc(kinds, func(k string) bool { return strings.EqualFold(k, code) }); i >= 0 {
		return usage("%s is a kind, not the code of a finding; the fields of all kinds are in docs/reference/policies.md, the codes are listed by: meshpol explain", kinds[i])
	}
	if near := nearCodes(code); len(near) > 0 {
		return usage("no finding has the code %q; did you mean %s? All codes are listed by: meshpol explain", code, strings.Join(near, " or "))
	}
	return usage("no finding has the code %q; all codes are listed by: meshpol explain", code)
}

// maxNear is how many codes are suggested in place of one that is not there.
const maxNear = 3

// nearCodes are the codes that one slip of the finger makes of what was written, those with the nearest number first.
func nearCodes(written string) []string {
	digits := func(code string) string { return strings.TrimPrefix(strings.ToUpper(code), "MP") }
	number := func(code string) int { n, _ := strconv.Atoi(digits(code)); return n } // 0 for no number will do
	away := func(code string) int { return max(number(code)-number(written), number(written)-number(code)) }
	var near []string
	for _, e := range explanations() {
		if oneSlip(digits(written), digits(e.Code)) {
			near = append(near, e.Code)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(away(a), away(b)) })
	return near[:min(len(near), maxNear)]
}

// oneSlip tells whether one letter more, one less, another one or two swapped make b of a.
func oneSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || (len(a) <= 1 && len(b) <= 1)
}
