package trial

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
)

// Load is a run of the load generator over the client pods.
type Load struct {
	lab  *Lab
	pods []fleet.Pod
}

// clientTimeout is how long a client of a trial waits for an answer.
const clientTimeout = 10 * time.Second

// StartLoad divides a rate over the client pods (web and mobile) and returns when all of them send.
func (l *Lab) StartLoad(ctx context.Context, rps float64, duration time.Duration) (*Load, error) {
	return l.StartLoadOf(ctx, loadgen.Spec{RPS: rps, Duration: jsonhttp.Duration(duration), Paths: []string{"/checkout", "/list"}})
}

// StartCalls is StartLoad for calls of the gRPC service.
func (l *Lab) StartCalls(ctx context.Context, rps float64, duration time.Duration) (*Load, error) {
	return l.StartLoadOf(ctx, loadgen.Spec{RPS: rps, Duration: jsonhttp.Duration(duration), Target: "grpc://stock:9000"})
}

// StartLoadOf is StartLoad with all of its choices; the clients make the request ids.
func (l *Lab) StartLoadOf(ctx context.Context, spec loadgen.Spec) (*Load, error) {
	pods, err := fleet.Pods(ctx, l.Kubeconfig, []string{"web", "mobile"})
	if err != nil {
		return nil, err
	}
	spec.RPS /= float64(len(pods))
	if spec.Timeout == 0 {
		spec.Timeout = jsonhttp.Duration(clientTimeout)
	}
	load := &Load{lab: l, pods: pods}
	load.Stop(ctx) // what another run may have left
	_, err = fleet.Each(pods, func(p fleet.Pod) (struct{}, error) {
		return struct{}{}, l.shop.Call(ctx, p, http.MethodPost, "/load", spec, nil)
	})
	if err != nil {
		load.Stop(ctx)
		return nil, fmt.Errorf("starting the load: %w", err)
	}
	return load, nil
}

// Stop ends the run; the records stay until the next one.
func (g *Load) Stop(ctx context.Context) {
	_, _ = fleet.Each(g.pods, func(p fleet.Pod) (struct{}, error) {
		return struct{}{}, g.lab.shop.Call(ctx, p, http.MethodDelete, "/load", nil, nil)
	})
}

// Records is everything the clients saw so far.
func (g *Load) Records(ctx context.Context) (referee.Log, error) {
	batches, err := fleet.Each(g.pods, func(p fleet.Pod) (referee.Batch, error) { return g.lab.shop.Records(ctx, p, 0) })
	if err != nil {
		return referee.Log{}, err
	}
	return referee.Merge(batches...)
}

// Behave sets how all pods of some apps answer; no rules: as usual.
func (l *Lab) Behave(ctx context.Context, apps []string, rules []app.Rule) error {
	pods, err := fleet.Pods(ctx, l.Kubeconfig, apps)
	if err != nil {
		return err
	}
	method, body := http.MethodPut, any(rules)
	if len(rules) == 0 {
		method, body = http.MethodDelete, nil
	}
	_, err = fleet.Each(pods, func(p fleet.Pod) (struct{}, error) {
		return struct{}{}, l.shop.Call(ctx, p, method, "/behaviour", body, nil)
	})
	return err
}
