package supervisor

import (
	"context"
	"errors"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

// deployment is a part of the lab that runs as pods: it is stopped and started by scaling it.
type deployment struct {
	supervisor      *Supervisor
	namespace, name string
}

var errPodsPending = errors.New("pods are not as they should be yet")

func (d *deployment) stop(ctx context.Context) error {
	if err := d.supervisor.client.Scale(ctx, d.namespace, d.name, 0); err != nil {
		return err
	}
	return d.await(ctx, 0)
}

func (d *deployment) start(ctx, _ context.Context) error {
	if err := d.supervisor.client.Scale(ctx, d.namespace, d.name, 1); err != nil {
		return err
	}
	return d.await(ctx, 1)
}

// await waits until as many pods are ready, and no others exist.
func (d *deployment) await(ctx context.Context, want int) error {
	return waitReady(ctx, d.name, func(context.Context) error {
		if ready, others := d.supervisor.agent.ReadyPods(d.namespace, d.name); ready != want || others != 0 {
			return errPodsPending
		}
		return nil
	})
}

func (d *deployment) status() conn.PartStatus {
	s := conn.PartStatus{Name: d.name, State: stateStarting}
	ready, others := d.supervisor.agent.ReadyPods(d.namespace, d.name)
	switch {
	case ready > 0:
		s.State = stateReady
	case others == 0:
		s.State = stateStopped
	}
	return s
}
