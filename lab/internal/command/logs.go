package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/state"
)

func (a *app) newLogs() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs [PART|NAMESPACE/POD/CONTAINER]", Short: "Print a log, or list the logs there are", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lab, err := a.lab()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.listLogs(lab)
			}
			return a.printLog(cmd.Context(), lab, args[0], follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is added")
	return cmd
}

func (a *app) listLogs(lab state.Lab) error {
	for _, pattern := range []string{lab.Log("*"), lab.Path("logs", "pods", "*.log")} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			fmt.Fprintln(a.out, strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".log"), "_", "/"))
		}
	}
	return nil
}

func (a *app) printLog(ctx context.Context, lab state.Lab, name string, follow bool) error {
	path := lab.Log(name)
	if strings.Contains(name, "/") {
		path = lab.Path("logs", "pods", strings.ReplaceAll(name, "/", "_")+".log")
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lab %q has no log %q (list them with: lab logs)", lab.Name, name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := io.Copy(a.out, f); err != nil || !follow {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}
