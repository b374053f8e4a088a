package loadgen

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// classify names the class of an error that a request ended in. Context is that of the request.
func classify(ctx context.Context, err error) referee.Outcome {
	var dns *net.DNSError
	var timed net.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return referee.Timeout
	case ctx.Err() != nil:
		return referee.Stopped
	case errors.As(err, &dns):
		return referee.DNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return referee.Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return referee.Reset
	case errors.As(err, &timed) && timed.Timeout():
		return referee.Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), closedIdle(err):
		return referee.EOF
	default:
		return referee.Other
	}
}

// closedIdle knows net/http's error for a connection that ended before an answer; it has no type of its own.
func closedIdle(err error) bool {
	return strings.Contains(err.Error(), "server closed idle connection")
}
