package fakemesh

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// Put implements rollout.Archive.
func (n *Node) Put(ctx context.Context, t policy.Target, r rollout.Record) (revision int64, err error) {
	err = n.do(ctx, "put", r.Name, func() error {
		w := n.World
		revision = int64(len(w.records[t.String()]) + 1)
		r.Revision = revision
		w.records[t.String()] = append(w.records[t.String()], decoded(r))
		return nil
	})
	return revision, err
}

// decoded is a record as it comes back from the API server: through JSON, with every number a float.
func decoded(r rollout.Record) rollout.Record {
	b, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encoding a record: %v", err))
	}
	var out rollout.Record
	if err := json.Unmarshal(b, &out); err != nil {
		panic(fmt.Sprintf("decoding a record: %v", err))
	}
	return out
}

// Close implements rollout.Archive.
func (n *Node) Close(ctx context.Context, t policy.Target, revision int64, result, verdict string, final []map[string]any) error {
	return n.do(ctx, "close", result, func() error {
		records := n.World.records[t.String()]
		i := slices.IndexFunc(records, func(r rollout.Record) bool { return r.Revision == revision })
		if i < 0 {
			return fmt.Errorf("closing record %d of %s: %w", revision, t, rollout.ErrNoRecord)
		}
		r := records[i]
		r.Result, r.Verdict = result, verdict
		if len(final) > 0 {
			r.Final = final
		}
		records[i] = decoded(r)
		return nil
	})
}

// Records implements rollout.Archive.
func (n *Node) Records(ctx context.Context, t policy.Target) (out []rollout.Record, err error) {
	err = n.do(ctx, "records", t.String(), func() error {
		for _, r := range slices.Backward(n.World.records[t.String()]) {
			out = append(out, decoded(r))
		}
		return nil
	})
	return out, err
}

// DeleteRecords is somebody who deletes all records of a target.
func (w *World) DeleteRecords(t policy.Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.records, t.String())
}
