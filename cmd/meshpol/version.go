package main

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
)

// version is set by the linker in releases.
var version = ""

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: asUsage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Example: `  meshpol version
  meshpol version -o json`,
		RunE: func(*cobra.Command, []string) error { return a.answers().Version(buildOf(debug.ReadBuildInfo())) },
	}
}

// buildOf says which build this is: the linker's word, else what the Go command noted.
func buildOf(info *debug.BuildInfo, ok bool) printer.VersionDocument {
	v := printer.VersionDocument{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v.Version == "" {
		v.Version = strings.Trim(info.Main.Version, "()")
	}
	if v.Version == "" {
		v.Version = "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}
