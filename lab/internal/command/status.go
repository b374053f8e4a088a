package command

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

func (a *app) newStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status", Short: "Show what runs, where, and how much memory it takes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), output) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func (a *app) status(ctx context.Context, output string) error {
	lab, err := a.lab()
	if err != nil {
		return err
	}
	s, err := conn.NewControl(lab).Status(ctx)
	if err != nil {
		return err
	}
	switch output {
	case "json":
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	case "text":
		return a.printStatus(s)
	}
	return fmt.Errorf("output %q: say text or json", output)
}

func (a *app) printStatus(s conn.Status) error {
	word := "starting"
	if s.Ready {
		word = "ready"
	}
	if s.Error != "" {
		word = "failed: " + s.Error
	}
	fmt.Fprintf(a.out, "lab %s: %s\nkubeconfig  %s\nAPI server  %s\nPrometheus  %s\nfiles       %s\n\n",
		s.Name, word, s.Kubeconfig, s.API, s.Prometheus, s.Dir)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tSTATE\tREADY AFTER\tPID\tMEMORY")
	for _, p := range s.Parts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, seconds(p.ReadyIn), number(p.PID), megabytes(p.RSS))
	}
	fmt.Fprintln(w, "\nPOD\tADDRESS\tREADY\tRESTARTS\tREQUESTS\tCONTAINER\tPID\tMEMORY")
	var total int64
	for _, p := range s.Pods {
		for i, c := range p.Containers {
			if i == 0 {
				fmt.Fprintf(w, "%s/%s\t%s\t%t\t%d\t%s", p.Namespace, p.Name, p.IP, p.Ready, p.Restarts, number(p.Requests))
			} else {
				fmt.Fprint(w, "\t\t\t\t")
			}
			fmt.Fprintf(w, "\t%s\t%s\t%s\n", c.Name, number(c.PID), megabytes(c.RSS))
			total += c.RSS
		}
	}
	for _, p := range s.Parts {
		total += p.RSS
	}
	fmt.Fprintf(w, "\nin all\t%s\n", megabytes(total))
	return w.Flush()
}

func number[T int | uint64](n T) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func megabytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MB", n>>20)
}
