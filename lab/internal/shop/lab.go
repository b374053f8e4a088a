package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/state"
)

// reach is the way into one running lab.
type reach struct {
	kubeconfig string
	control    *fleet.Control
}

// opener finds the way into the lab of a name.
type opener func(ctx context.Context, name string) (reach, error)

// openLab is the opener of a real lab.
func openLab(ctx context.Context, name string) (reach, error) {
	kubeconfig, err := conn.Kubeconfig(name)
	if err != nil {
		return reach{}, err
	}
	dial, err := conn.Dial(ctx, name)
	if err != nil {
		return reach{}, err
	}
	return reach{kubeconfig: kubeconfig, control: fleet.NewControl(dial)}, nil
}

// openFor opens the lab that a command means by the --name of the root command.
func openFor(cmd *cobra.Command, open opener) (reach, error) {
	name := state.DefaultName
	if flag := cmd.Flag("name"); flag != nil {
		name = flag.Value.String()
	}
	return open(cmd.Context(), name)
}

// pods are the running pods of a comma list of apps.
func (r reach) pods(ctx context.Context, apps string) ([]fleet.Pod, error) {
	var list []string
	for app := range strings.SplitSeq(apps, ",") {
		list = append(list, strings.TrimSpace(app))
	}
	return fleet.Pods(ctx, r.kubeconfig, list)
}

// checkOutput refuses an output format that does not exist, before anything is done.
func checkOutput(format string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("choosing the output: -o %s; allowed: text, json", format)
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
