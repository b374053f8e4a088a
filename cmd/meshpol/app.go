package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/meshpol/meshpol/internal/printer"
)

// streams are the process's ends, so that tests can bring their own.
type streams struct {
	in                    io.Reader
	out, err              io.Writer
	env                   func(string) (string, bool)
	inTTY, outTTY, errTTY bool
	width                 int
}

// app is what every command shares: streams, global flags, and the signal that asks it to end.
type app struct {
	streams
	kube       *genericclioptions.ConfigFlags
	prometheus prometheusFlags
	output     string
	quiet      bool
	noColor    bool
	config     string
	qps        float32
	burst      int
	// interrupt is closed by the first signal; the second one ends the process's patience.
	interrupt chan struct{}
}

type prometheusFlags struct {
	url, tokenFile, caFile string
	headers                []string
	insecure               bool
}

// run is the whole program: arguments in, exit code out.
func run(ctx context.Context, args []string, s streams, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &app{streams: s, interrupt: make(chan struct{}), kube: genericclioptions.NewConfigFlags(true)}
	stop := a.listen(signals, cancel)
	defer stop()
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !isSilent(err) {
		a.progress().Problem(err, hints(err)...)
	}
	return exitCode(err)
}

// listen closes interrupt at the first signal. Commands that only read are ended by it at once; a rollout goes back in
// order. The third signal ends everything, since somebody really means it.
func (a *app) listen(signals <-chan os.Signal, cancel func()) func() {
	done := make(chan struct{})
	var once sync.Once
	go func() {
		for count := 1; ; count++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if count == 1 {
				close(a.interrupt)
			}
			if count == 3 {
				cancel()
			}
		}
	}()
	return func() { once.Do(func() { close(done) }) }
}

// readContext is for commands that only read: the first signal ends them.
func (a *app) readContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (a *app) colour(tty bool) bool {
	_, off := a.env("NO_COLOR")
	return tty && !off && !a.noColor
}

// answers is the printer of standard output.
func (a *app) answers() *printer.Printer {
	format, _ := printer.ParseFormat(a.output)
	return printer.New(a.out, format, printer.Options{Colour: a.colour(a.outTTY), Width: a.width})
}

// progress is the printer of standard error.
func (a *app) progress() *printer.Printer {
	format := printer.Text
	if a.output == string(printer.JSONLines) {
		format = printer.JSONLines
	}
	return printer.New(a.err, format, printer.Options{Colour: a.colour(a.errTTY), Live: a.errTTY, Quiet: a.quiet, Width: a.width})
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshpol",
		Short: "Roll out service-mesh policies gradually, and take them back when they do harm",
		Long: `meshpol rolls out service-mesh policies (timeout, retry, circuit breaker, …) the way workloads are rolled out:
to 1 % of requests, to one pod, to everything. It proves that every proxy holds the change, compares the traffic under
the new policy with the traffic under the old one in the same seconds, and takes it back when it is worse.

` + exitCodesHelp,
		Args:              asUsage(cobra.NoArgs),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, cmd.CommandPath())
	})
	a.globalFlags(root)
	root.AddGroup(&cobra.Group{ID: "files", Title: "Policies on disk:"}, &cobra.Group{ID: "run", Title: "Rollouts:"})
	root.AddCommand(newValidateCmd(a), newPlanCmd(a), newApplyCmd(a), newRolloutCmd(a), newStatusCmd(a), newRollbackCmd(a), newExplainCmd(a), newVersionCmd(a), newDocsCmd(a))
	return root
}

// asUsage gives the complaints about arguments the exit code of wrong usage.
func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage("%v; see %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	a.kube.CacheDir, a.kube.DisableCompression = nil, nil // nothing here would use them
	a.kube.AddFlags(f)
	f.StringVar(&a.prometheus.url, "prometheus", "", "address of Prometheus; default: looked for in the cluster and reached through the API server")
	f.StringVar(&a.prometheus.tokenFile, "prometheus-token-file", "", "file with a bearer token for Prometheus")
	f.StringVar(&a.prometheus.caFile, "prometheus-ca-file", "", "file with the certificate authority of Prometheus")
	f.BoolVar(&a.prometheus.insecure, "prometheus-insecure", false, "do not verify the certificate of Prometheus")
	f.StringSliceVar(&a.prometheus.headers, "prometheus-header", nil, "header for Prometheus, NAME=VALUE (X-Scope-OrgID=team); repeatable")
	f.StringVarP(&a.output, "output", "o", "", "output format: text, json, yaml; jsonl for events (default text)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "only what needs attention on standard error")
	f.BoolVar(&a.noColor, "no-color", false, "no colours (also: NO_COLOR)")
	f.StringVar(&a.config, "config", "", "configuration file (default: meshpol/config.yaml in the user's configuration directory)")
	f.Float32Var(&a.qps, "qps", 50, "requests per second to the API server")
	f.IntVar(&a.burst, "burst", 100, "burst of requests to the API server")
}

// headerMap reads NAME=VALUE pairs.
func headerMap(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--prometheus-header %q: write NAME=VALUE", p)
		}
		out[name] = value
	}
	return out, nil
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: asUsage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, versionText())
			return err
		},
	}
}
