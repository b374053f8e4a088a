package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/validate"
)

func newExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain CODE", GroupID: "files", Args: asUsage(cobra.ExactArgs(1)),
		Short:   "Say what a finding means and what to do about it",
		Example: `  meshpol explain MP301`,
		RunE: func(_ *cobra.Command, args []string) error {
			text, ok := explanation(args[0])
			if !ok {
				return usage("no finding has the code %q; docs/reference/findings.md lists them", args[0])
			}
			_, err := fmt.Fprintln(a.out, text)
			return err
		},
	}
}

// explanation looks a code up among the rules' and the mesh's.
func explanation(code string) (string, bool) {
	if c, ok := validate.Explain(code); ok {
		return fmt.Sprintf("%s (%s): %s\n\n%s", c.Code, c.Severity, c.Title, c.Why), true
	}
	for _, c := range istio.Codes() {
		if strings.EqualFold(c.Code, code) {
			return c.Code + ": " + c.Title, true
		}
	}
	return "", false
}
