package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/container"
)

func (a *app) newExec() *cobra.Command {
	return &cobra.Command{
		Use: "exec POD -- COMMAND [ARG...]", Short: "Run a command of the machine inside a pod's network and mounts",
		Long: `Run a command of the machine inside a pod's network and mounts, as root. POD is NAMESPACE/NAME or the
beginning of it; the first match is taken.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			pid, err := a.findPod(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return container.Enter(pid, args[1:])
		},
	}
}

func (a *app) findPod(ctx context.Context, prefix string) (int, error) {
	lab, err := a.lab()
	if err != nil {
		return 0, err
	}
	s, err := conn.NewControl(lab).Status(ctx)
	if err != nil {
		return 0, err
	}
	for _, pod := range s.Pods {
		if !strings.HasPrefix(pod.Namespace+"/"+pod.Name, prefix) && !strings.HasPrefix(pod.Name, prefix) {
			continue
		}
		for _, c := range pod.Containers {
			if c.PID != 0 {
				return c.PID, nil
			}
		}
	}
	return 0, fmt.Errorf("lab %q runs no pod %q (list them with: lab status)", lab.Name, prefix)
}
