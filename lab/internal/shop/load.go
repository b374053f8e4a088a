package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
)

// LoadCmd is `lab load`: the load that the client pods make, and what they saw.
func LoadCmd() *cobra.Command { return newLoad(openLab) }

func newLoad(open opener) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Make load from the client pods, through their sidecars, and report what they saw",
		Example: `  lab load run --rps 100 --duration 10s
  lab load run --rps 200 --duration 1m --target http://user-service --window 512,256 --series
  lab load run --rps 50 --duration 10s --from mobile --target grpc://stock:9000
  lab load start --rps 500 --duration 30m --request-ids proxy
  lab load report --bad 5xx,reset --since 2026-01-02T15:04:05Z -o json
  lab load stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLoadStart(open), newLoadRun(open), newLoadStatus(open), newLoadReport(open), newLoadStop(open))
	return cmd
}

// clientFlags say which pods are meant.
type clientFlags struct {
	from   string
	output string
}

func (f *clientFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.from, "from", "web,mobile", "apps whose pods are the clients")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
}

// specFlags are the load.
type specFlags struct {
	spec              loadgen.Spec
	duration, timeout time.Duration
	keepAlive         bool
}

func (f *specFlags) add(flags *pflag.FlagSet) {
	s := &f.spec
	flags.Float64Var(&s.RPS, "rps", 0, "requests per second of all pods together, at most 2000 (required)")
	flags.DurationVar(&f.duration, "duration", 0, "length of the run, at most 2h (required)")
	flags.StringVar(&s.Target, "target", "", "http URL to call, or grpc://stock:9000 (default: the service that the pod's app calls)")
	flags.StringSliceVar(&s.Paths, "path", nil, "path to call, repeatable; used in turn (default /)")
	flags.StringVar(&s.Method, "method", "", "GET, HEAD, DELETE, POST or PUT (default GET)")
	flags.IntVar(&s.Concurrency, "concurrency", 0, "requests in flight per pod; more are dropped and counted (default 512)")
	flags.BoolVar(&f.keepAlive, "keepalive", true, "keep connections; false makes one for every request")
	flags.StringVar(&s.RequestIDs, "request-ids", "", "who makes x-request-id: client, proxy or hex32 (default client)")
	flags.DurationVar(&f.timeout, "timeout", 0, "the client's own limit of a request (default 15s)")
	flags.StringVar(&s.Host, "host", "", "Host header, as for an ingress gateway called by its address")
	flags.StringToStringVar(&s.Headers, "header", nil, "NAME=VALUE to send with every request, repeatable")
}

// complete returns the load of all pods together; it refuses what no number of pods may do.
func (f *specFlags) complete() (loadgen.Spec, error) {
	s := f.spec
	if !(s.RPS > 0 && s.RPS <= loadgen.MaxRPS) {
		return s, fmt.Errorf("planning the load: --rps %g; allowed: more than 0, at most %d", s.RPS, loadgen.MaxRPS)
	}
	if f.duration <= 0 || f.duration > loadgen.MaxDuration {
		return s, fmt.Errorf("planning the load: --duration %s; allowed: more than 0s, at most %s", f.duration, loadgen.MaxDuration)
	}
	s.Duration, s.Timeout, s.KeepAlive = jsonhttp.Duration(f.duration), jsonhttp.Duration(f.timeout), &f.keepAlive
	return s, nil
}

func newLoadStart(open opener) *cobra.Command {
	var clients clientFlags
	var load specFlags
	cmd := &cobra.Command{
		Use: "start", Short: "Start a load and return at once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := load.complete()
			if err != nil {
				return err
			}
			r, pods, err := prepare(cmd, open, clients)
			if err != nil {
				return err
			}
			progress, err := startLoad(cmd.Context(), r, pods, spec)
			if err != nil {
				return err
			}
			return writeStatus(cmd.OutOrStdout(), clients.output, pods, progress)
		},
	}
	clients.add(cmd.Flags())
	load.add(cmd.Flags())
	return cmd
}

func newLoadStop(open opener) *cobra.Command {
	return newLoadAsk(open, "stop", "Stop the load and wait until no request is in flight", http.MethodDelete)
}

func newLoadStatus(open opener) *cobra.Command {
	return newLoadAsk(open, "status", "Show how far the load is", http.MethodGet)
}

// newLoadAsk is a command that sends one call to all client pods and shows their progress.
func newLoadAsk(open opener, use, short, method string) *cobra.Command {
	var clients clientFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, pods, err := prepare(cmd, open, clients)
			if err != nil {
				return err
			}
			progress, err := askLoad(cmd.Context(), r, pods, method)
			if err != nil {
				return err
			}
			return writeStatus(cmd.OutOrStdout(), clients.output, pods, progress)
		},
	}
	clients.add(cmd.Flags())
	return cmd
}

// prepare checks the flags, opens the lab and finds the client pods.
func prepare(cmd *cobra.Command, open opener, f clientFlags) (reach, []fleet.Pod, error) {
	if err := checkOutput(f.output); err != nil {
		return reach{}, nil, err
	}
	r, err := openFor(cmd, open)
	if err != nil {
		return reach{}, nil, err
	}
	pods, err := r.pods(cmd.Context(), f.from)
	return r, pods, err
}

// startLoad splits the load evenly over the pods. When one pod refuses, no pod is left running.
func startLoad(ctx context.Context, r reach, pods []fleet.Pod, spec loadgen.Spec) ([]loadgen.Progress, error) {
	spec.RPS /= float64(len(pods))
	progress, err := fleet.Each(pods, func(pod fleet.Pod) (loadgen.Progress, error) {
		var p loadgen.Progress
		err := r.control.Call(ctx, pod, http.MethodPost, "/load", spec, &p)
		return p, err
	})
	if err == nil {
		return progress, nil
	}
	var running []fleet.Pod
	for i, pod := range pods {
		if progress[i].Run != "" {
			running = append(running, pod)
		}
	}
	_, stopErr := askLoad(context.WithoutCancel(ctx), r, running, http.MethodDelete)
	return nil, errors.Join(err, stopErr)
}

// askLoad calls /load of all pods.
func askLoad(ctx context.Context, r reach, pods []fleet.Pod, method string) ([]loadgen.Progress, error) {
	return fleet.Each(pods, func(pod fleet.Pod) (loadgen.Progress, error) {
		var p loadgen.Progress
		err := r.control.Call(ctx, pod, method, "/load", nil, &p)
		return p, err
	})
}
