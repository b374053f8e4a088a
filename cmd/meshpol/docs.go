package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newDocsCmd writes the command reference; it is hidden, since only the build uses it.
func newDocsCmd(_ *app) *cobra.Command {
	return &cobra.Command{
		Use: "docs DIR", Hidden: true, Args: asUsage(cobra.ExactArgs(1)), Short: "Write the command reference as Markdown",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenMarkdownTree(root, args[0])
		},
	}
}
