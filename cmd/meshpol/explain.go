package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/validate"
)

func newExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain CODE", GroupID: "files", Args: asUsage(cobra.ExactArgs(1)), ValidArgsFunction: completeCodes,
		Short: "Say what a finding means and what to do about it",
		Long:  "Say what the stable code of a finding means, why it matters and what to do. It needs no cluster.\n\n" + exitHelp(exitOK, exitUsage),
		Example: `  meshpol explain MP301
  meshpol explain MP301 -o json`,
		RunE: func(_ *cobra.Command, args []string) error {
			doc, ok := explanation(args[0])
			if !ok {
				return usage("no finding has the code %q; docs/reference/findings.md lists them", args[0])
			}
			return a.answers().Explanation(doc)
		},
	}
}

// explanation looks a code up among the rules' and the mesh's.
func explanation(code string) (printer.ExplanationDocument, bool) {
	if c, ok := validate.Explain(code); ok {
		return printer.ExplanationDocument{Code: c.Code, Severity: string(c.Severity), Title: c.Title, Why: c.Why, Next: c.Next}, true
	}
	for _, c := range istio.Codes() {
		if strings.EqualFold(c.Code, code) {
			return printer.ExplanationDocument{Code: c.Code, Severity: c.Severity(), Title: c.Title, Why: c.Why, Next: c.Next}, true
		}
	}
	return printer.ExplanationDocument{}, false
}
