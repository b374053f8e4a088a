package supervisor

import (
	"context"
	"fmt"
	"net"

	"github.com/meshpol/meshpol/lab/internal/node"
)

// prometheusAddress is the ClusterIP of Prometheus' Service, which the node agent balances.
const prometheusAddress = "10.96.0.90:9090"

// forwardPorts opens the lab's ports on 127.0.0.1 of the machine.
func (s *Supervisor) forwardPorts(ctx context.Context) error {
	for _, f := range []struct {
		port int
		to   string
	}{
		{s.settings.Ports.API, fmt.Sprintf("%s:%d", node.Address, node.APIPort)},
		{s.settings.Ports.Prometheus, prometheusAddress},
	} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", f.port))
		if err != nil {
			return fmt.Errorf("opening the lab's port on the machine: %w", err)
		}
		context.AfterFunc(ctx, func() { l.Close() })
		go s.forward(ctx, l, f.to)
	}
	return nil
}

func (s *Supervisor) forward(ctx context.Context, l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			dialCtx, cancel := context.WithTimeout(ctx, connectPatience)
			defer cancel()
			inside, err := s.network.Dial(dialCtx, to)
			if err != nil {
				c.Close()
				return
			}
			node.Splice(c, inside)
		}()
	}
}
