// Package command is the command line of the lab.
package command

import (
	"context"

	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/container"
	"github.com/meshpol/meshpol/lab/internal/node"
	"github.com/meshpol/meshpol/lab/internal/shop"
	"github.com/meshpol/meshpol/lab/internal/state"
	"github.com/meshpol/meshpol/lab/internal/supervisor"
)

// superviseCommand is the hidden subcommand that is the process behind a lab.
const superviseCommand = "supervise"

// app is what all commands share.
type app struct {
	name string
	out  io.Writer
	err  io.Writer
}

// New returns the root command, which prints answers to out and progress to err.
func New(out, err io.Writer) *cobra.Command {
	a := &app{out: out, err: err}
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real Istio mesh on one Linux machine, without containers",
		Example: `  lab up                       # build what is missing, start everything, wait until it is ready
  lab status                   # what runs, where, and how much memory it takes
  export KUBECONFIG=$(lab kubeconfig)
  lab stop apiserver           # for failure tests; lab start apiserver brings it back
  lab exec shop/web-… -- curl -s http://cart/
  lab down                     # leave nothing behind`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(err)
	root.PersistentFlags().StringVar(&a.name, "name", state.DefaultName, "name of the lab; several can run side by side")
	root.AddCommand(a.newUp(), a.newDown(), a.newStatus(), a.newKubeconfig(), a.newLogs(), a.newExec(),
		a.newStop(), a.newStart(), shop.LoadCmd(), shop.BehaveCmd(), a.newSupervise(), newContainerInit(), newContainerEnter())
	return root
}

func (a *app) lab() (state.Lab, error) { return state.New(a.name) }

func (a *app) newKubeconfig() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of the administrator's kubeconfig, or write a copy", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := conn.Kubeconfig(a.name)
			if err != nil {
				return err
			}
			if output == "" {
				fmt.Fprintln(a.out, path)
				return nil
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if output == "-" {
				_, err = a.out.Write(data)
				return err
			}
			return os.WriteFile(output, data, 0o600)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the kubeconfig to this file (- for standard output)")
	return cmd
}

func (a *app) newStop() *cobra.Command {
	return &cobra.Command{
		Use: "stop PART", Short: "Stop etcd, apiserver, controllers or prometheus", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), args[0], (*conn.Control).StopPart)
		},
	}
}

func (a *app) newStart() *cobra.Command {
	return &cobra.Command{
		Use: "start PART", Short: "Start a stopped part and wait until it is ready", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), args[0], (*conn.Control).StartPart)
		},
	}
}

func (a *app) control(ctx context.Context, part string, do func(*conn.Control, context.Context, string) error) error {
	lab, err := a.lab()
	if err != nil {
		return err
	}
	return do(conn.NewControl(lab), ctx, part)
}

func (a *app) newSupervise() *cobra.Command {
	return &cobra.Command{
		Use: superviseCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lab, err := a.lab()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(a.err, nil))
			return supervisor.Run(cmd.Context(), lab, log)
		},
	}
}

func newContainerInit() *cobra.Command {
	return &cobra.Command{
		Use: container.Command + " SPEC", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return container.Main(args[0]) },
	}
}

func newContainerEnter() *cobra.Command {
	return &cobra.Command{
		Use: node.EnterCommand + " PID -- COMMAND", Hidden: true, Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("process %q: %w", args[0], err)
			}
			return container.Enter(pid, args[1:])
		},
	}
}
