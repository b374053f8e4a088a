package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newDocsCmd writes the command reference; it is hidden, since only the build uses it.
func newDocsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "docs DIR", Hidden: true, Args: asUsage(cobra.ExactArgs(1)), Short: "Write the command reference as Markdown",
		Example: "  meshpol docs docs/reference/commands",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenMarkdownTree(root, args[0]); err != nil {
				return fmt.Errorf("writing the command reference to %s: %w", args[0], err)
			}
			return nil
		},
	}
}
