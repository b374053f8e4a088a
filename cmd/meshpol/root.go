package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpText leads with the examples: they are what most people look for.
const helpText = `{{.Short}}.

{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{with .Long}}{{trimTrailingWhitespaces .}}

{{end}}{{.UsageString}}`

// usageText is cobra's, without the examples that stand above it and the flags that all commands take.
const usageText = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}

{{if .Groups}}Other commands:{{else}}Commands:{{end}}{{range $cmds}}{{if (and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

Flags of all commands (-n, -o, -q, --context, --kubeconfig, --prometheus, …): meshpol options
`

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshpol",
		Short: "Roll out service-mesh policies gradually, and take them back when they do harm",
		Example: `  meshpol validate -f timeout.yaml
  meshpol plan -f timeout.yaml
  meshpol rollout -f timeout.yaml
  meshpol status -n shop`,
		Long: `meshpol rolls out service-mesh policies (timeout, retry, circuit breaker, …) the way workloads are rolled out:
to 1 % of requests, to one pod, to everything. It proves that every proxy holds the change, compares the traffic under
the new policy with the traffic under the old one in the same seconds, and takes it back when it is worse.

A flag that is not given is taken from the environment (MESHPOL_STEP_MIN for --step-min), then from the configuration
file (step-min: 2m), then from its default.

The answer is written to standard output, progress and errors to standard error. With -o json or -o yaml the answer is
one document; with -o jsonl events are JSON lines on standard error, too.

` + allExits() + "\n  11  " + exitMeanings()[exitChanges],
		Args:              asUsage(cobra.NoArgs),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if bad := (*pflag.InvalidValueError)(nil); errors.As(err, &bad) {
			err = badValue(bad.GetFlag(), bad.GetValue(), bad)
		}
		return usage("%w; see %s --help", err, cmd.CommandPath())
	})
	root.SetHelpTemplate(helpText)
	root.SetUsageTemplate(usageText)
	a.globalFlags(root)
	root.AddGroup(&cobra.Group{ID: "files", Title: "Policies on disk:"}, &cobra.Group{ID: "run", Title: "Rollouts:"})
	root.AddCommand(newValidateCmd(a), newPlanCmd(a), newSimulateCmd(a), newApplyCmd(a), newRolloutCmd(a), newStatusCmd(a), newRollbackCmd(a),
		newExplainCmd(a), newVersionCmd(a), newOptionsCmd(), newDocsCmd())
	root.SetOut(a.out) // cobra's completion command takes its writer at once
	root.InitDefaultCompletionCmd()
	withoutConfig(root, "completion")
	return root
}

// withoutConfig lets a command work where the configuration file does not: a shell's start must not end with an error.
func withoutConfig(root *cobra.Command, name string) {
	for _, c := range root.Commands() {
		if c.Name() == name {
			c.PersistentPreRunE = func(*cobra.Command, []string) error { return nil }
		}
	}
}

// asUsage gives the complaints about arguments the exit code of wrong usage, and names the command that was meant.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		if near := nearCommands(cmd, args); near != "" {
			return usage("%w; did you mean %s?", err, near)
		}
		return usage("%w; see %s --help", err, cmd.CommandPath())
	}
}

// nearDistance is how many letters a mistyped command may be off.
const nearDistance = 2

func nearCommands(cmd *cobra.Command, args []string) string {
	if !cmd.HasAvailableSubCommands() || len(args) == 0 {
		return ""
	}
	cmd.SuggestionsMinimumDistance = nearDistance
	var near []string
	for _, name := range cmd.SuggestionsFor(args[0]) {
		near = append(near, cmd.CommandPath()+" "+name)
	}
	return strings.Join(near, " or ")
}
