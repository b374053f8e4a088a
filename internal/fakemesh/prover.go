package fakemesh

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const pollEvery = 50 * time.Millisecond

// Prove implements rollout.Prover.
func (n *Node) Prove(ctx context.Context, req rollout.ProofRequest, progress func(rollout.Proof)) (rollout.Proof, error) {
	began := time.Now()
	for first := true; ; first = false {
		var proof rollout.Proof
		look := func() error {
			proof = n.World.proof(req)
			return nil
		}
		// One call per proof: a test that kills at every call need not count the polls.
		if first {
			if err := n.do(ctx, "prove", fmt.Sprint(len(req.Markers), " markers"), look); err != nil {
				return rollout.Proof{}, err
			}
		} else {
			n.World.mu.Lock()
			_ = look()
			n.World.mu.Unlock()
		}
		proof.Took = time.Since(began)
		switch {
		case len(proof.Rejected) > 0:
			return proof, &rollout.RejectedError{Proof: proof}
		case proof.Confirmed == proof.Concerned:
			return proof, nil
		}
		if progress != nil {
			progress(proof)
		}
		if wait(ctx, pollEvery) != nil {
			return proof, &rollout.StragglersError{Proof: proof}
		}
	}
}

func (w *World) proof(req rollout.ProofRequest) rollout.Proof {
	var out rollout.Proof
	for _, p := range w.podList("") {
		id := p.ID()
		if !p.Proxy || p.Terminating || (len(req.Proxies) > 0 && !slices.Contains(req.Proxies, id)) {
			continue
		}
		out.Concerned++
		view, p := w.seenBy(p, time.Now())
		if w.Reject != nil {
			if words := w.Reject(view); words != "" {
				out.Rejected = append(out.Rejected, rollout.Rejection{Proxy: id, Message: words})
				continue
			}
		}
		if holds(view, p, req.Markers) {
			out.Confirmed++
			continue
		}
		out.Stragglers = append(out.Stragglers, id)
	}
	return out
}

// seenBy is the content as a pod's proxy holds it, and the pod with the labels that it was computed for.
func (w *World) seenBy(p policy.Pod, t time.Time) (Objects, policy.Pod) {
	if at, ok := w.frozen[p.ID()]; ok && at.Before(t) {
		t = at
	}
	t = t.Add(-w.Lag)
	for _, then := range slices.Backward(w.labels[p.ID()]) {
		p.Labels = then.labels
		if !then.at.After(t) {
			break
		}
	}
	return w.at(t), p
}

func holds(view Objects, p policy.Pod, markers []mesh.Marker) bool {
	for _, m := range markers {
		if strings.Contains(dump(view, p, m.Scope), m.Text) == m.Absent {
			return false
		}
	}
	return true
}

// dump is a proxy's configuration of a scope as text.
func dump(view Objects, p policy.Pod, scope string) string {
	var b strings.Builder
	for _, ref := range sortedRefs(view) {
		switch {
		case scope == "routes" && ref.Kind == "VirtualService":
			for _, e := range routesOf(view[ref].Object, p) {
				text, _ := json.Marshal(e)
				b.Write(text)
			}
		case scope == "clusters" && ref.Kind == "DestinationRule":
			for _, s := range list(dig(view[ref].Object, "spec", "subsets")) {
				fmt.Fprintf(&b, "outbound|80|%v|%v\n", s["name"], dig(view[ref].Object, "spec", "host"))
			}
		}
	}
	return b.String()
}

// routesOf are the http entries that a pod's proxy gets: istiod leaves out matches whose sourceLabels are not the pod's.
func routesOf(vs map[string]any, p policy.Pod) []map[string]any {
	var out []map[string]any
	for _, e := range list(dig(vs, "spec", "http")) {
		matches := list(e["match"])
		if len(matches) > 0 && !slices.ContainsFunc(matches, func(m map[string]any) bool { return labelsFit(m, p) }) {
			continue
		}
		out = append(out, e)
	}
	return out
}

func labelsFit(match map[string]any, p policy.Pod) bool {
	labels, _ := match["sourceLabels"].(map[string]any)
	for k, v := range labels {
		if p.Labels[k] != v {
			return false
		}
	}
	return true
}

func dig(o map[string]any, path ...string) any {
	var v any = o
	for _, k := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func list(v any) []map[string]any {
	items, _ := v.([]any)
	var out []map[string]any
	for _, i := range items {
		if m, ok := i.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
