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
cluster. Every finding has a stable code, a place and a next step; only an error ends with exit code 3.

` + exitHelp(exitOK, exitInternal, exitUsage, exitInvalid),
		Example: `  meshpol validate -f timeout.yaml
  meshpol validate -f policies/ -R --offline
  cat *.yaml | meshpol validate -f - -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.untilSignal(cmd.Context())
			defer cancel()
			return a.validate(ctx, files, offline)
		},
	}
	files.add(cmd)
	cmd.Flags().BoolVar(&offline, "offline", false, "look at the files only, at no cluster")
	return cmd
}

func (a *app) validate(ctx context.Context, files fileFlags, offline bool) error {
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

// refuse says on standard error what is wrong with the policies of a command that is no validate.
func (a *app) refuse(policies int, findings []printer.FindingView) error {
	opts := a.progressOptions()
	if err := printer.New(a.err, printer.Text, opts).Findings(policies, findings); err != nil {
		return err
	}
	return foundErrors(findings)
}

// What mustBeValid repeats: where a command validates again, warnings were read already.
const (
	allFindings = false
	onlyErrors  = true
)

// mustBeValid stops before the first write: findings go to standard error, an error among them ends the command.
func (a *app) mustBeValid(ctx context.Context, p *planner, brief bool) error {
	views := findingViews(validate.Check(p.set, p.session.snapshot, p.session.mesh))
	if len(views) == 0 || (brief && foundErrors(views) == nil) {
		return nil
	}
	if err := p.locked(ctx, views); err != nil {
		return err
	}
	return a.refuse(len(p.set.Policies), views)
}

// comparable stops a canary by instance that leaves nobody to compare with, once the metrics source has said who calls.
func (a *app) comparable(p *planner) error {
	views := findingViews(p.fewClients())
	if len(views) == 0 {
		return nil
	}
	return a.refuse(len(p.set.Policies), views)
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
