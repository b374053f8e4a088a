package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/validate"
)

func newValidateCmd(a *app) *cobra.Command {
	var files fileFlags
	var offline bool
	cmd := &cobra.Command{
		Use: "validate -f FILE", GroupID: "files", Args: asUsage(cobra.NoArgs),
		Short: "Check policies, alone and against the cluster",
		Long: `Check policies: their fields, their arithmetic with each other, and (unless --offline) what is live in the
cluster. Every finding has a stable code, a place and a next step. Exit code 3 where there is an error.`,
		Example: `  meshpol validate -f timeout.yaml
  meshpol validate -f policies/ -R --offline
  cat *.yaml | meshpol validate -f - -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.readContext(cmd.Context())
			defer cancel()
			set, err := a.load(files)
			var invalid policy.Errors
			if errors.As(err, &invalid) {
				return a.report(0, loadFindings(invalid))
			}
			if err != nil {
				return err
			}
			s := &session{app: a}
			if !offline {
				if s, err = a.connect(); err != nil {
					return err
				}
				if err := s.gather(ctx, targetsOf(set)); err != nil {
					return err
				}
			}
			return a.report(len(set.Policies), findingViews(validate.Check(set, s.snapshot, s.mesh)))
		},
	}
	files.add(cmd)
	cmd.Flags().BoolVar(&offline, "offline", false, "look at the files only, at no cluster")
	return cmd
}

// report prints findings as the answer and ends with 3 where one is an error.
func (a *app) report(policies int, findings []printer.FindingView) error {
	if err := a.answers().Findings(policies, findings); err != nil {
		return err
	}
	return foundErrors(findings)
}

func foundErrors(findings []printer.FindingView) error {
	n := 0
	for _, f := range findings {
		if f.Severity == string(validate.Error) {
			n++
		}
	}
	if n > 0 {
		return said(exitInvalid, "%d errors", n)
	}
	return nil
}

// mustBeValid stops before the first write: findings go to standard error, an error among them ends the command.
func (a *app) mustBeValid(ctx context.Context, p *planner) error {
	views := findingViews(validate.Check(p.set, p.session.snapshot, p.session.mesh))
	if len(views) == 0 {
		return nil
	}
	if err := p.locked(ctx, views); err != nil {
		return err
	}
	progress := printer.New(a.err, printer.Text, printer.Options{Colour: a.colour(a.errTTY), Width: a.width})
	if err := progress.Findings(len(p.set.Policies), views); err != nil {
		return err
	}
	return foundErrors(views)
}

func findingViews(findings []validate.Finding) []printer.FindingView {
	var out []printer.FindingView
	for _, f := range findings {
		out = append(out, printer.FindingView{Code: f.Code, Severity: string(f.Severity), Policy: policyText(f.Policy), At: f.At, Field: f.Field, Message: f.Message, Next: f.Next})
	}
	return out
}

func policyText(k policy.Key) string {
	if k == (policy.Key{}) {
		return ""
	}
	return k.String()
}

func loadFindings(errs policy.Errors) []printer.FindingView {
	var out []printer.FindingView
	for _, e := range errs {
		out = append(out, printer.FindingView{Code: e.Code, Severity: string(validate.Error), At: e.At(), Field: e.Field, Message: e.Message, Next: e.Hint})
	}
	return out
}
