package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newOptionsCmd lists the flags that all commands take, which their own help leaves out.
func newOptionsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "options", Short: "List the flags that all commands take", Args: asUsage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List the flags that all commands take: for the cluster, as kubectl has them, for Prometheus, and for the output.

` + exitHelp(exitOK, exitInternal, exitUsage),
		Example: `  meshpol options
  meshpol plan -f timeout.yaml --context staging --prometheus http://localhost:9090`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", strings.TrimRight(cmd.Root().PersistentFlags().FlagUsages(), "\n"))
			return err
		},
	}
}
