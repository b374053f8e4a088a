package shop

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/report"
)

// reportFlags say what to report.
type reportFlags struct {
	window, since, until, bad string
	series                    bool
}

func (f *reportFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.window, "window", "", "START,WIDTH on the ring of 4096 cohorts: split the requests by it")
	flags.StringVar(&f.since, "since", "", "only requests sent at or after this time: RFC 3339 or Unix seconds")
	flags.StringVar(&f.until, "until", "", "only requests sent before this time")
	flags.StringVar(&f.bad, "bad", "5xx,grpc,error", "what counts as bad: statuses (504, grpc-14), classes (5xx, grpc), error, reset, timeout, …")
	flags.BoolVar(&f.series, "series", false, "add a table by seconds")
}

func (f *reportFlags) options() (report.Options, error) {
	o := report.Options{BadRule: f.bad, Series: f.series}
	var err error
	if o.Bad, err = referee.ParseBad(f.bad); err != nil {
		return o, fmt.Errorf("reading --bad: %w", err)
	}
	if f.window != "" {
		window, err := referee.ParseWindow(f.window)
		if err != nil {
			return o, fmt.Errorf("reading --window: %w", err)
		}
		o.Window = &window
	}
	if o.Interval.From, err = parseTime("--since", f.since); err != nil {
		return o, err
	}
	o.Interval.Until, err = parseTime("--until", f.until)
	return o, err
}

// parseTime reads RFC 3339 or Unix seconds; "" is no time.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(seconds) > 1e11 || math.IsNaN(seconds) {
		return time.Time{}, fmt.Errorf("reading %s %q: allowed: a time such as 2026-01-02T15:04:05.250Z, or Unix seconds", flag, text)
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))), nil
}

func newLoadReport(open opener) *cobra.Command {
	var clients clientFlags
	var wanted reportFlags
	cmd := &cobra.Command{
		Use: "report", Short: "Report what the clients saw in the last run, also while it runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := wanted.options()
			if err != nil {
				return err
			}
			r, pods, err := prepare(cmd, open, clients)
			if err != nil {
				return err
			}
			return reportOn(cmd.Context(), r, pods, options, clients.output, cmd.OutOrStdout())
		},
	}
	clients.add(cmd.Flags())
	wanted.add(cmd.Flags())
	return cmd
}

func reportOn(ctx context.Context, r reach, pods []fleet.Pod, o report.Options, format string, w io.Writer) error {
	progress, err := askLoad(ctx, r, pods, http.MethodGet)
	if err != nil {
		return err
	}
	sum := total(progress)
	o.Unsent = report.Unsent{Dropped: sum.Dropped, Missed: sum.Missed, InFlight: sum.InFlight}
	log, err := collect(ctx, r, pods)
	if err != nil {
		return err
	}
	answer := report.New(log, o)
	if format == "json" {
		return writeJSON(w, answer)
	}
	return answer.WriteText(w)
}

// collect reads the records of all pods.
func collect(ctx context.Context, r reach, pods []fleet.Pod) (referee.Log, error) {
	batches, err := fleet.Each(pods, func(pod fleet.Pod) (referee.Batch, error) {
		return r.control.Records(ctx, pod, 0)
	})
	if err != nil {
		return referee.Log{}, err
	}
	return referee.Merge(batches...)
}
