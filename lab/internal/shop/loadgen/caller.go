package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/header"
	"github.com/meshpol/meshpol/lab/internal/shop/stock"
)

// reconnect is how soon a lost connection is made again.
const reconnect = 100 * time.Millisecond

// caller makes the gRPC calls of one run, on one connection, from any goroutine.
type caller struct {
	spec Spec
	conn *grpc.ClientConn
}

// newCaller makes a caller; its second result closes its connection.
func newCaller(s Spec) (*caller, func(), error) {
	target, err := url.Parse(s.Target)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the target %s: %w", s.Target, err)
	}
	pause := backoff.Config{BaseDelay: reconnect, Multiplier: 1, MaxDelay: reconnect}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: time.Second}),
	}
	if s.Host != "" {
		options = append(options, grpc.WithAuthority(s.Host))
	}
	conn, err := grpc.NewClient("passthrough:///"+target.Host, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to %s: %w", s.Target, err)
	}
	return &caller{spec: s, conn: conn}, func() { conn.Close() }, nil
}

// send makes the call of a slot and waits for its end. The client's own limit is not told to the server, as over HTTP:
// else server and client would run into it at the same moment.
func (c *caller) send(ctx context.Context, _ int, due time.Time) seen {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(time.Duration(c.spec.Timeout), func() { cancel(context.DeadlineExceeded) })
	defer limit.Stop()
	id := newID(c.spec.RequestIDs)
	out := seen{record: referee.Record{Due: due.UnixMicro(), Cohort: referee.CohortOf(id), Server: referee.NoServer}}
	start := time.Now()
	out.record.Lag = referee.Micros(start.Sub(due))
	var head, tail metadata.MD
	_, err := stock.Check(c.outgoing(ctx, id), c.conn, "everything", grpc.Header(&head), grpc.Trailer(&tail))
	out.record.Latency = referee.Micros(time.Since(start))
	out.note(func(name string) string { return last(head, name) }, id)
	switch {
	case err == nil, ctx.Err() == nil && len(head)+len(tail) > 0:
		out.record.Outcome = referee.GRPC(uint32(status.Code(err)))
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		out.record.Outcome, out.err = referee.Timeout, err
	case ctx.Err() != nil:
		out.record.Outcome, out.err = referee.Stopped, err
	default: // gRPC's own word for a connection that was lost or never made
		out.record.Outcome, out.err = referee.Reset, err
	}
	return out
}

func (c *caller) outgoing(ctx context.Context, id string) context.Context {
	md := metadata.MD{}
	for name, value := range c.spec.Headers {
		md.Set(name, value)
	}
	if id != "" {
		md.Set(header.RequestID, id)
	}
	return metadata.NewOutgoingContext(ctx, md)
}

func last(md metadata.MD, name string) string {
	values := md.Get(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// note takes over what the server told of the request that arrived.
func (o *seen) note(told func(string) string, id string) {
	r := &o.record
	timeout, _ := strconv.ParseUint(told(header.SeenExpectedTimeout), 10, 32)
	attempt, _ := strconv.ParseUint(told(header.SeenAttempt), 10, 64)
	r.ExpectedTimeout, r.Attempt = uint32(timeout), uint8(min(attempt, 255))
	o.server = referee.Server{Pod: told(header.Pod), Version: told(header.Version)}
	seenID := told(header.SeenRequestID)
	if seenID == "" {
		return
	}
	cohort := referee.CohortOf(seenID)
	if id == "" {
		r.Cohort = cohort
	} else if cohort != r.Cohort {
		r.Flags |= referee.IDChanged
	}
}
