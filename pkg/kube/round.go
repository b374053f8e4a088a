package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/meshpol/meshpol/pkg/mesh/istio/xds"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// round is one barrier: its goroutines ask, and one loop listens and decides.
type round struct {
	*Prover
	barrier  *xds.Barrier
	progress func(rollout.Proof)
	began    time.Time

	polls    chan poll
	readings chan []xds.Reading
	planeset chan []istiod
	pollers  map[string]context.CancelFunc
	probing  int
	last     rollout.Proof
	group    sync.WaitGroup
}

// poll is one answer of an istiod.
type poll struct {
	plane istiod
	began time.Time
	list  []xds.Status
	err   error
}

func newRound(p *Prover, b *xds.Barrier, progress func(rollout.Proof)) *round {
	return &round{
		Prover: p, barrier: b, progress: progress, began: time.Now(),
		polls: make(chan poll), readings: make(chan []xds.Reading), planeset: make(chan []istiod), pollers: map[string]context.CancelFunc{},
	}
}

// run listens to the answers until the barrier is decided. It leaves no goroutine behind.
func (r *round) run(ctx context.Context, planes []istiod) (rollout.Proof, error) {
	asking, stop := context.WithCancel(ctx)
	defer r.group.Wait()
	defer stop()
	r.follow(asking, planes)
	r.group.Go(func() { r.watchPlanes(asking) })
	tick := time.NewTicker(pollFirst)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return r.straggling(ctx)
		case set := <-r.planeset:
			r.follow(asking, set)
		case a := <-r.polls:
			err = r.listen(a)
		case readings := <-r.readings:
			r.probing--
			r.barrier.Read(readings, time.Now())
		case <-tick.C:
		}
		if err != nil {
			return r.proof(), err
		}
		if proof, over, err := r.decide(); over {
			return proof, err
		}
		r.probe(asking)
	}
}

// decide tells whether the barrier is over, and how.
func (r *round) decide() (rollout.Proof, bool, error) {
	proof := r.proof()
	if r.progress != nil && (proof.Confirmed != r.last.Confirmed || proof.Concerned != r.last.Concerned) {
		r.progress(proof)
	}
	r.last = proof
	for _, refusal := range r.barrier.Refused(time.Now()) {
		proof.Rejected = append(proof.Rejected, rollout.Rejection{Proxy: refusal.Proxy, Message: refusal.Message})
	}
	if len(proof.Rejected) > 0 {
		return proof, true, &rollout.RejectedError{Proof: proof}
	}
	return proof, r.barrier.Done(), nil
}

func (r *round) proof() rollout.Proof {
	c := r.barrier.Count()
	return rollout.Proof{Confirmed: c.Confirmed, Concerned: c.Concerned, Unconcerned: c.Unconcerned, Stragglers: c.Stragglers, Took: c.Took}
}

// straggling is the end without a proof. A caller that gave up for another reason than the time is told its reason.
func (r *round) straggling(ctx context.Context) (rollout.Proof, error) {
	proof := r.proof()
	if errors.Is(ctx.Err(), context.Canceled) {
		return proof, fmt.Errorf("proving propagation: %w", context.Cause(ctx))
	}
	return proof, &rollout.StragglersError{Proof: proof}
}

// listen takes an answer of an istiod. Without the right to ask, waiting is of no use.
func (r *round) listen(a poll) error {
	id := a.plane.id()
	var rights *RightsError
	switch {
	case a.err == nil:
		r.barrier.Poll(id, a.began, time.Now(), a.list)
	case errors.As(a.err, &rights):
		return &PortForwardError{Istiod: id, Rights: rights}
	case !errors.Is(a.err, context.Canceled):
		r.barrier.Trouble(id, a.err.Error())
	}
	return nil
}

// follow polls the istiods there are, and no others.
func (r *round) follow(ctx context.Context, planes []istiod) {
	ids := make([]string, 0, len(planes))
	for _, i := range planes {
		id := i.id()
		ids = append(ids, id)
		if r.pollers[id] == nil {
			var polling context.Context
			polling, r.pollers[id] = context.WithCancel(ctx)
			r.group.Go(func() { r.poll(polling, i) })
		}
	}
	for id, stop := range maps.Clone(r.pollers) {
		if !slices.Contains(ids, id) {
			stop()
			delete(r.pollers, id)
		}
	}
	r.barrier.Planes(ids, time.Now())
}

// poll asks one istiod again and again: quickly while most is expected, never more than a quarter of the time.
func (r *round) poll(ctx context.Context, i istiod) {
	for {
		began := time.Now()
		list, err := r.forward.syncz(ctx, i)
		took := time.Since(began)
		select {
		case <-ctx.Done():
			return
		case r.polls <- poll{plane: i, began: began, list: list, err: err}:
		}
		pause := pollFirst
		if time.Since(r.began) > pollFast || err != nil {
			pause = pollLater
		}
		if sleep(ctx, max(pause, 3*took)) != nil {
			return
		}
	}
}

// watchPlanes looks for istiods that come and go.
func (r *round) watchPlanes(ctx context.Context) {
	for sleep(ctx, planesEvery) == nil {
		set, err := r.planes(ctx)
		if err != nil {
			continue // those we know are asked on; one that is gone says so by itself
		}
		select {
		case <-ctx.Done():
		case r.planeset <- set:
		}
	}
}

// probe reads the proxies that the barrier wants to know of.
func (r *round) probe(ctx context.Context) {
	for _, p := range r.barrier.Probes(time.Now(), probers-r.probing) {
		texts := map[xds.Scope][]string{}
		for _, scope := range p.Scopes {
			texts[scope] = r.barrier.Texts(scope)
		}
		r.probing++
		r.group.Go(func() {
			readings := r.readProxy(ctx, p, texts)
			select {
			case <-ctx.Done():
			case r.readings <- readings:
			}
		})
	}
}

// readProxy asks one proxy for every scope of a probe.
func (p *Prover) readProxy(ctx context.Context, probe xds.Probe, texts map[xds.Scope][]string) []xds.Reading {
	namespace, pod, _ := strings.Cut(probe.Proxy, "/")
	var out []xds.Reading
	away := probe.Away && p.cluster.podGone(ctx, namespace, pod, nil)
	for _, scope := range probe.Scopes {
		reading := xds.Reading{Proxy: probe.Proxy, Scope: scope, Began: time.Now(), Gone: away}
		if away {
			out = append(out, reading)
			continue
		}
		found, session, err := p.forward.content(ctx, namespace, pod, scope, texts[scope])
		var rights *RightsError
		switch {
		case err == nil:
			reading.Session, reading.Found, reading.Host = session, found[:len(found)-1], found[len(found)-1]
		case errors.As(err, &rights):
			reading = p.vouchFor(ctx, probe, scope, texts[scope], err)
		case p.cluster.podGone(ctx, namespace, pod, err):
			reading.Gone = true
		default:
			reading.Err = err.Error()
		}
		out = append(out, reading)
	}
	return out
}

// vouchFor asks a proxy's istiod instead of the proxy, which may not be asked.
func (p *Prover) vouchFor(ctx context.Context, probe xds.Probe, scope xds.Scope, texts []string, denied error) xds.Reading {
	for _, id := range probe.Planes {
		namespace, name, _ := strings.Cut(id, "/")
		if r, err := p.forward.vouch(ctx, istiod{namespace: namespace, name: name}, probe.Proxy, scope, texts); err == nil {
			return r
		}
	}
	return xds.Reading{Proxy: probe.Proxy, Scope: scope, Began: time.Now(), Err: denied.Error()}
}

// podGone tells whether a pod does not exist, or has ended: a port-forward may outlive its pod for a while. Err is why
// the pod's proxy could not be read.
func (c *Cluster) podGone(ctx context.Context, namespace, name string, err error) bool {
	var gone *goneError
	if errors.As(err, &gone) {
		return true
	}
	body, err := bodyOf(c.rest.Get().AbsPath("/api/v1/namespaces", namespace, "pods", name).Do(ctx))
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	var p slimPod
	if json.Unmarshal(body, &p) != nil {
		return false
	}
	return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed"
}
