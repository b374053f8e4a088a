package command

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

// downPatience is how long a supervisor may take to end before it is killed.
const downPatience = 20 * time.Second

func (a *app) newDown() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End the lab and leave nothing behind", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.down(cmd.Context()) },
	}
}

// down ends a lab in whatever state it is; one that does not exist is no error.
func (a *app) down(ctx context.Context) error {
	lab, err := a.lab()
	if err != nil {
		return err
	}
	release, err := a.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer release()
	control := conn.NewControl(lab)
	if s, err := control.Status(ctx); err == nil {
		if err := control.Shutdown(ctx); err != nil {
			fmt.Fprintln(a.err, "the supervisor does not take orders, killing it:", err)
		} else {
			awaitEnd(ctx, s.PID)
		}
	}
	if err := clean(lab); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "lab %q is gone\n", lab.Name)
	return nil
}

// awaitEnd waits for a process that is not a child.
func awaitEnd(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	for ctx.Err() == nil && syscall.Kill(pid, 0) == nil {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err != nil || len(data) == 0 {
			return // ended, and only waiting to be reaped
		}
		time.Sleep(50 * time.Millisecond)
	}
}
