package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
)

const (
	// pollEvery is how often a run is looked at.
	pollEvery = 500 * time.Millisecond
	// tellEvery is how often its progress is told.
	tellEvery = 5 * time.Second
	// stopLimit bounds stopping the load after an interrupt.
	stopLimit = 30 * time.Second
)

func newLoadRun(open opener) *cobra.Command {
	var clients clientFlags
	var load specFlags
	var wanted reportFlags
	cmd := &cobra.Command{
		Use: "run", Short: "Start a load, wait for its end and report; an interrupt stops it and reports", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := wanted.options()
			if err != nil {
				return err
			}
			spec, err := load.complete()
			if err != nil {
				return err
			}
			r, pods, err := prepare(cmd, open, clients)
			if err != nil {
				return err
			}
			if _, err := startLoad(cmd.Context(), r, pods, spec); err != nil {
				return err
			}
			if err := await(cmd.Context(), r, pods, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return reportOn(context.WithoutCancel(cmd.Context()), r, pods, options, clients.output, cmd.OutOrStdout())
		},
	}
	clients.add(cmd.Flags())
	load.add(cmd.Flags())
	wanted.add(cmd.Flags())
	return cmd
}

// await waits until no pod makes load. When ctx is done it stops the load.
func await(ctx context.Context, r reach, pods []fleet.Pod, tell io.Writer) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	begin, told := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return interrupt(ctx, r, pods, tell)
		case <-ticker.C:
		}
		progress, err := askLoad(ctx, r, pods, http.MethodGet)
		switch {
		case err != nil && ctx.Err() != nil:
			return interrupt(ctx, r, pods, tell)
		case err != nil:
			return fmt.Errorf("waiting for the load to end: %w", err)
		case !active(progress):
			return nil
		case time.Since(told) >= tellEvery:
			told = time.Now()
			sum := total(progress)
			fmt.Fprintf(tell, "%3.0fs  %d sent, %d in flight, %d dropped, %d missed\n",
				time.Since(begin).Seconds(), sum.Sent, sum.InFlight, sum.Dropped, sum.Missed)
		}
	}
}

func interrupt(ctx context.Context, r reach, pods []fleet.Pod, tell io.Writer) error {
	fmt.Fprintln(tell, "interrupted: stopping the load")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if _, err := askLoad(ctx, r, pods, http.MethodDelete); err != nil {
		return errors.Join(err, errors.New("the load may still run: end it with `lab load stop`"))
	}
	return nil
}

func active(progress []loadgen.Progress) bool {
	for _, p := range progress {
		if p.State == loadgen.Running || p.State == loadgen.Draining {
			return true
		}
	}
	return false
}

// total sums what can be summed.
func total(progress []loadgen.Progress) loadgen.Progress {
	var sum loadgen.Progress
	for _, p := range progress {
		sum.Sent += p.Sent
		sum.Dropped += p.Dropped
		sum.Missed += p.Missed
		sum.InFlight += p.InFlight
	}
	return sum
}

// podStatus is one line of `lab load status -o json`.
type podStatus struct {
	Pod string `json:"pod"`
	loadgen.Progress
}

func writeStatus(w io.Writer, format string, pods []fleet.Pod, progress []loadgen.Progress) error {
	if format == "json" {
		list := []podStatus{}
		for i, pod := range pods {
			list = append(list, podStatus{Pod: pod.Name, Progress: progress[i]})
		}
		return writeJSON(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POD\tSTATE\tSENT\tIN FLIGHT\tDROPPED\tMISSED\tOVERWRITTEN\tENDS\tLAST ERROR")
	for i, pod := range pods {
		p := progress[i]
		ends, problem := "-", "-"
		if !p.End.IsZero() {
			ends = p.End.Format(time.TimeOnly)
		}
		if p.LastError != nil {
			problem = p.LastError.Class + ": " + p.LastError.Text
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n",
			pod.Name, p.State, p.Sent, p.InFlight, p.Dropped, p.Missed, p.Overwritten, ends, problem)
	}
	return table.Flush()
}
