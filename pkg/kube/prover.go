package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh/istio/xds"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

var _ rollout.Prover = (*Prover)(nil)

const (
	// pollFirst and pollLater are the times between two polls of an istiod, during the first second and after it.
	pollFirst = 50 * time.Millisecond
	pollLater = 500 * time.Millisecond
	pollFast  = 2 * time.Second
	// probers is how many proxies are read at a time.
	probers = 8
	// planesEvery is how often the list of istiods is read during a barrier.
	planesEvery = 5 * time.Second
)

// NoIstiodError says that no control plane was found whose word could prove anything.
type NoIstiodError struct{ Server string }

func (e *NoIstiodError) Error() string {
	return fmt.Sprintf("proving propagation: no running pod is labelled %s in the cluster %s; where the control plane is managed, or runs elsewhere, its word cannot be had", istiodLabel, e.Server)
}

// PortForwardError says that the right to ask istiod is missing.
type PortForwardError struct {
	Istiod string
	Rights *RightsError
}

func (e *PortForwardError) Error() string {
	return fmt.Sprintf("proving propagation: istiod %s answers on its debug port only through a port-forward: missing %s; grant `create` and `get` on pods/portforward in namespace %s (see `%s`)",
		e.Istiod, e.Rights.Right(), e.Rights.Namespace, e.Rights.Check())
}

// Unwrap is the missing right.
func (e *PortForwardError) Unwrap() error { return e.Rights }

// Prover proves propagation on istiod's and Envoy's own words (docs/design/barrier.md). It keeps its port-forwards
// open between barriers; Close ends them. One barrier at a time.
type Prover struct {
	cluster *Cluster
	forward *forwarder

	mu     sync.Mutex
	memory *xds.Memory
	last   *xds.Barrier
}

// NewProver is a prover in the cluster.
func NewProver(c *Cluster) *Prover {
	return &Prover{cluster: c, forward: newForwarder(c), memory: xds.NewMemory()}
}

// Close ends all port-forwards.
func (p *Prover) Close() { p.forward.Close() }

// Expect names pods that have a proxy: one that is connected to no istiod is then missed instead of overlooked.
func (p *Prover) Expect(pods []policy.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range pods {
		if pod.Proxy && pod.Ready && !pod.Terminating {
			p.memory.Expect(pod.ID())
		}
	}
}

// Prove waits until every concerned proxy holds all markers. When ctx ends before, it returns what it has with a
// *rollout.StragglersError; a refusal ends it at once with a *rollout.RejectedError.
func (p *Prover) Prove(ctx context.Context, req rollout.ProofRequest, progress func(rollout.Proof)) (rollout.Proof, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(req.Markers) == 0 {
		return rollout.Proof{}, nil
	}
	planes, err := p.planes(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		proof := rollout.Proof{Stragglers: []string{"every proxy (there was no time to ask any)"}}
		return proof, &rollout.StragglersError{Proof: proof}
	}
	if err != nil {
		return rollout.Proof{}, err
	}
	b := xds.New(xds.Question{Markers: req.Markers, Host: req.Host, Only: req.Proxies}, p.memory, time.Now())
	p.last = b
	defer b.Remember()
	r := newRound(p, b, progress)
	return r.run(ctx, planes)
}

// Why says of a straggler of the last barrier what is known of it: not acknowledged, not readable, connected nowhere.
func (p *Prover) Why(straggler string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		return ""
	}
	return p.last.Why(straggler)
}

// planes are the istiods that run.
func (p *Prover) planes(ctx context.Context) ([]istiod, error) {
	all, err := p.cluster.istiods(ctx)
	if err != nil {
		return nil, fmt.Errorf("proving propagation: %w", err)
	}
	var out []istiod
	for _, i := range all {
		if i.running {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, &NoIstiodError{Server: p.cluster.Server()}
	}
	return out, nil
}
