package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// takeTurn makes `up` and `down` of one lab take turns. The lock is a socket name without a file, so that it goes
// with its process.
func (a *app) takeTurn(ctx context.Context) (release func(), err error) {
	for told := false; ; told = true {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", "@meshpol-lab-"+a.name)
		if err == nil {
			return func() { l.Close() }, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("taking a turn on lab %q: %w", a.name, err)
		}
		if !told {
			fmt.Fprintf(a.err, "waiting for another command on lab %q\n", a.name)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
