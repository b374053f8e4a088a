package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// The exit codes, the same in every output format.
const (
	exitOK         = 0
	exitInternal   = 1
	exitUsage      = 2
	exitInvalid    = 3
	exitRolledBack = 4
	exitAborted    = 5
	exitTimeout    = 6
	exitLocked     = 7
	exitApproval   = 8
	exitFailed     = 9
	exitPaused     = 10
	exitChanges    = 11
)

// exitMeanings say what the codes mean, in their order.
func exitMeanings() []string {
	return []string{
		exitOK: "succeeded", exitInternal: "internal error, or no answer from the cluster", exitUsage: "wrong usage",
		exitInvalid: "validation failed, or the cluster refuses it", exitRolledBack: "rolled back: the policy did harm",
		exitAborted: "aborted by a person or a signal", exitTimeout: "timeout, no verdict, or nothing to judge by",
		exitLocked: "locked by another rollout", exitApproval: "approval missing",
		exitFailed: "could not be taken back: needs a person", exitPaused: "paused",
		exitChanges: "plan --exit-code: something would be written",
	}
}

// exitHelp is the part of a help text that says how a command may end.
func exitHelp(codes ...int) string {
	lines := []string{"Exit codes:"}
	for _, c := range codes {
		lines = append(lines, fmt.Sprintf("  %2d  %s", c, exitMeanings()[c]))
	}
	return strings.Join(lines, "\n")
}

// allExits are the exit codes of a command that runs a rollout.
func allExits() string {
	return exitHelp(exitOK, exitInternal, exitUsage, exitInvalid, exitRolledBack, exitAborted, exitTimeout, exitLocked, exitApproval, exitFailed, exitPaused)
}

// codeError is an error with its exit code.
type codeError struct {
	code int
	err  error
	// silent says that everything was said already.
	silent bool
}

func (e *codeError) Error() string { return e.err.Error() }

func (e *codeError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &codeError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// said ends a command with a code whose reason was printed.
func said(code int, format string, args ...any) error {
	return &codeError{code: code, err: fmt.Errorf(format, args...), silent: true}
}

func isSilent(err error) bool {
	var c *codeError
	return errors.As(err, &c) && c.silent
}

// exitCode maps an error to the exit code; it is the only place that does.
func exitCode(err error) int {
	var code *codeError
	var invalid policy.Errors
	var unsupported *policy.UnsupportedError
	var locked *rollout.LockedError
	var unfinished *rollout.UnfinishedError
	var marked *rollout.MarkedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return code.code
	case clusterCode(err) != 0:
		return clusterCode(err)
	case errors.As(err, &invalid), errors.As(err, &unsupported):
		return exitInvalid
	case errors.As(err, &locked), errors.As(err, &unfinished), errors.As(err, &marked):
		return exitLocked
	case errors.Is(err, context.Canceled):
		return exitAborted
	}
	return exitInternal
}

// clusterCode is the exit code of an error that the cluster's edge knows; 0 where it is another one.
func clusterCode(err error) int {
	var config *kube.ConfigError
	var rights *kube.RightsError
	var missing *kube.MissingError
	var noMesh *kube.NoMeshError
	var refused *rollout.RefusedError
	switch {
	case errors.As(err, &config):
		return exitUsage
	case errors.As(err, &rights), errors.As(err, &missing), errors.As(err, &noMesh), errors.As(err, &refused):
		return exitInvalid
	}
	return 0
}

// resultError is the end of a rollout as an error; nil where it succeeded.
func resultError(r rollout.Result) error {
	switch r.Phase {
	case rollout.Succeeded:
		return nil
	case rollout.Paused:
		return said(exitPaused, "paused: %s", r.Reason)
	case rollout.Failed:
		return said(exitFailed, "could not be taken back: %s", r.Reason)
	}
	code := map[rollout.Cause]int{
		rollout.CauseBreach: exitRolledBack, rollout.CausePerson: exitAborted, rollout.CauseTimeout: exitTimeout,
		rollout.CauseInconclusive: exitTimeout, rollout.CauseEdited: exitTimeout, rollout.CauseLocked: exitLocked,
	}[r.Cause]
	if code == 0 {
		code = exitInternal
	}
	return said(code, "taken back: %s", r.Reason)
}

// hints are next steps that an error does not name itself.
func hints(err error) []string {
	if exitCode(err) == exitInternal && errors.Is(err, context.DeadlineExceeded) {
		return []string{"the cluster or Prometheus did not answer in time; look at it with: meshpol status"}
	}
	return nil
}
