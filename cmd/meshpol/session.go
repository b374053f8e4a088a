package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// meshes lists every mesh that meshpol knows.
func meshes() []mesh.Mesh { return []mesh.Mesh{istio.New()} }

// session is an open cluster with what was read of it.
type session struct {
	app       *app
	cluster   *kube.Cluster
	namespace string
	snapshot  *policy.Snapshot
	mesh      mesh.Mesh
	leases    *kube.LeaseStore
	past      past
	readable  *proxyPods
}

// gather reads what the targets need to know of the cluster, and finds the mesh.
func (s *session) gather(ctx context.Context, targets []policy.Target) error {
	snapshot, err := s.cluster.Gather(ctx, targets)
	if err != nil {
		return err
	}
	for _, m := range meshes() {
		if m.Detect(snapshot) {
			s.snapshot, s.mesh = s.informed(snapshot), m
			return nil
		}
	}
	if name := snapshot.Mesh.Name; name != "" {
		return &codeError{code: exitInvalid, err: fmt.Errorf("the mesh of the cluster %s is %s: its policies come in a later release, Istio's can be rolled out now", s.cluster.Server(), name)}
	}
	return &kube.NoMeshError{Server: s.cluster.Server()}
}

// executor wires the ports for one target.
func (s *session) executor(sink rollout.Sink, prover rollout.Prover) rollout.Executor {
	return rollout.Executor{
		Objects: s.cluster, Pods: s.cluster, Prover: prover, Store: s.store(), Archive: kube.NewArchive(s.cluster),
		Mesh: s.mesh, Sink: sink, Snapshot: s.snapshot, Attended: s.app.inTTY && s.app.errTTY,
		OnSignal: onSignalRollback, Interrupt: s.app.interrupt, Requests: s.cluster.Requests,
	}
}

// store is one for the whole session: it remembers the resourceVersion of the Lease it holds.
func (s *session) store() *kube.LeaseStore {
	if s.leases == nil {
		s.leases = kube.NewLeaseStore(s.cluster)
		s.leases.Waiting = func(t policy.Target, l rollout.Lock) {
			if s.app != nil {
				s.app.say("%s is locked by %s; watching up to %s for a sign of life", t, l.Holder, l.TTL)
			}
		}
	}
	return s.leases
}

// holder is who holds the Lease: user, machine and process.
func (s *session) holder(ctx context.Context) (string, error) {
	user, err := s.cluster.Identity(ctx)
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return kube.Holder(user, host, os.Getpid()), nil
}

// hostOf is the host whose routes a target's policies change.
func hostOf(t policy.Target) string {
	if t.Kind == "Service" {
		return strings.Join([]string{t.Name, t.Namespace, "svc.cluster.local"}, ".")
	}
	return t.Name
}

// once hands on each text one time: the API server repeats its warnings with every write.
type once struct {
	mu   sync.Mutex
	seen map[string]bool
	to   func(string)
}

func (o *once) say(text string) {
	o.mu.Lock()
	known := o.seen[text]
	o.seen[text] = true
	o.mu.Unlock()
	if !known {
		o.to(text)
	}
}
