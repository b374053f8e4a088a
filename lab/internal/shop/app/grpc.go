package app

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshpol/meshpol/lab/internal/shop/header"
	"github.com/meshpol/meshpol/lab/internal/shop/stock"
)

// GRPC is the app as a gRPC service: the same behaviour, by rules whose path begins the method's, and the same counters.
type GRPC struct {
	app *App

	mu    sync.Mutex
	conns map[string]net.Conn
}

var _ stock.Server = (*GRPC)(nil)

// GRPC returns the app's gRPC side. It must be served on a listener of Listen.
func (a *App) GRPC() *GRPC { return &GRPC{app: a, conns: map[string]net.Conn{}} }

// Check implements stock.Server.
func (g *GRPC) Check(ctx context.Context, _ *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	a := g.app
	incoming, _ := metadata.FromIncomingContext(ctx)
	attempt, _ := strconv.Atoi(first(incoming, header.AttemptCount))
	rule := a.behaviour.match(stock.CheckMethod)
	act := rule.decide(rand.Float64(), max(attempt, 1))
	if !rule.enter() {
		act = actRefuse
	}
	defer rule.leave()
	a.counters.add(stock.CheckMethod, attempt, act)
	if err := grpc.SetHeader(ctx, g.echo(incoming, act)); err != nil {
		return nil, err
	}
	return g.perform(ctx, rule.Rule, act)
}

// echo tells the client what arrived and where, as over HTTP.
func (g *GRPC) echo(in metadata.MD, act action) metadata.MD {
	out := metadata.Pairs(header.Pod, g.app.config.Pod, header.Version, g.app.config.Version, header.Action, string(act))
	for to, value := range map[string]string{
		header.SeenRequestID:       first(in, header.RequestID),
		header.SeenExpectedTimeout: cmp.Or(first(in, header.ExpectedTimeout), first(in, header.ToldTimeout)),
		header.SeenAttempt:         first(in, header.AttemptCount),
	} {
		if value != "" {
			out.Set(to, value)
		}
	}
	return out
}

func first(md metadata.MD, name string) string {
	if values := md.Get(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (g *GRPC) perform(ctx context.Context, rule Rule, act action) (*wrapperspb.StringValue, error) {
	if act == actRefuse {
		return nil, status.Error(codes.ResourceExhausted, "too many requests at once")
	}
	if !sleep(ctx, rule.wait(act, rand.Float64())) {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	switch act {
	case actHang:
		return nil, g.hang(ctx)
	case actReset:
		g.reset(ctx)
		return nil, status.Error(codes.Unavailable, "resetting the connection as told")
	case actFail:
		return nil, status.Error(rule.failStatus(), "failing as told")
	default:
		config := g.app.config
		text, err := json.Marshal(Answer{Pod: config.Pod, Version: config.Version, Path: stock.CheckMethod})
		return wrapperspb.String(string(text)), err
	}
}

// hang waits until the client gives up or the app stops.
func (g *GRPC) hang(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-g.app.stopping:
		return status.Error(codes.Unavailable, "the app is stopping")
	}
}

// reset closes the connection of a call so that the peer sees it reset: every call on it ends.
func (g *GRPC) reset(ctx context.Context) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	g.mu.Lock()
	conn := g.conns[from.Addr.String()]
	g.mu.Unlock()
	if tcp, ok := conn.(*tracked); ok {
		// Without lingering, closing sends a reset instead of an orderly end.
		_ = tcp.Conn.(*net.TCPConn).SetLinger(0)
		tcp.Close()
	}
}

// Listen wraps a TCP listener so that connections can be reset.
func (g *GRPC) Listen(l net.Listener) net.Listener { return tracker{Listener: l, grpc: g} }

type tracker struct {
	net.Listener
	grpc *GRPC
}

// Accept notes the connection.
func (t tracker) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	out := &tracked{Conn: conn, grpc: t.grpc}
	t.grpc.mu.Lock()
	defer t.grpc.mu.Unlock()
	t.grpc.conns[conn.RemoteAddr().String()] = out
	return out, nil
}

type tracked struct {
	net.Conn
	grpc *GRPC
}

// Close forgets the connection.
func (t *tracked) Close() error {
	t.grpc.mu.Lock()
	delete(t.grpc.conns, t.RemoteAddr().String())
	t.grpc.mu.Unlock()
	return t.Conn.Close()
}
