package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

var _ rollout.Archive = (*Archive)(nil)

// What a ControllerRevision of ours bears.
const (
	labelTarget = "meshpol.io/target-hash"
	labelResult = "meshpol.io/result"
	labelPart   = "meshpol.io/part"
	annVerdict  = "meshpol.io/verdict"
	annRollout  = "meshpol.io/rollout"

	partBase  = "base"
	partFinal = "final"
)

const (
	// keepRecords is how many records of a target stay.
	keepRecords = 10
	// maxRecord leaves room for the object's metadata in the 1 MiB that etcd and many webhooks allow.
	maxRecord = 1<<20 - 64<<10
	putTries  = 5
)

// TooLargeError says that a record does not fit into one object of the cluster.
type TooLargeError struct {
	Target policy.Target
	Bytes  int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("recording the rollout of %s: %d bytes, more than the %d that one object may hold; roll out fewer policies at once, or split the VirtualServices that they touch", e.Target, e.Bytes, maxRecord)
}

// Archive keeps records as ControllerRevisions without an owner, so that they outlive the objects they describe.
// Their data cannot be changed; result and verdict are in their labels and annotations.
type Archive struct{ cluster *Cluster }

// NewArchive is an archive in the cluster.
func NewArchive(c *Cluster) *Archive { return &Archive{cluster: c} }

func revisionAPI() api {
	gvr := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}
	return api{gvr: gvr, kind: "ControllerRevision", namespaced: true}
}

// revision is one stored ControllerRevision.
type revision struct{ *unstructured.Unstructured }

func (r revision) number() int64 {
	n, _, _ := unstructured.NestedInt64(r.Object, "revision")
	return n
}

func (r revision) part() string   { return r.GetLabels()[labelPart] }
func (r revision) result() string { return r.GetLabels()[labelResult] }

func recordName(t policy.Target, n int64, part string) string {
	name := fmt.Sprintf("%s-%d", t.LeaseName(), n)
	if part == partFinal {
		name += "-final"
	}
	return name
}

// list gives the revisions of a target, oldest first.
func (a *Archive) list(ctx context.Context, t policy.Target) ([]revision, error) {
	objects, err := a.cluster.listWith(ctx, revisionAPI(), t.Namespace, labelTarget+"="+t.Hash())
	if err != nil {
		return nil, fmt.Errorf("reading the records of %s: %w", t, err)
	}
	out := make([]revision, len(objects))
	for i, o := range objects {
		out[i] = revision{o}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].number() < out[j].number() })
	return out, nil
}

// Put writes a new record of the target and returns its revision.
func (a *Archive) Put(ctx context.Context, t policy.Target, r rollout.Record) (int64, error) {
	all, err := a.list(ctx, t)
	if err != nil {
		return 0, err
	}
	r.Revision = 1
	if len(all) > 0 {
		r.Revision = all[len(all)-1].number() + 1
	}
	for try := 1; ; try++ {
		err := a.create(ctx, t, r.Revision, partBase, r.Result, r.Name, r)
		if !apierrors.IsAlreadyExists(err) || try == putTries {
			return r.Revision, a.cluster.explain("recording the rollout of "+t.String(), err)
		}
		r.Revision++
	}
}

// create stores one part; data must be a JSON object.
func (a *Archive) create(ctx context.Context, t policy.Target, n int64, part, result, name string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", t, err)
	}
	if len(raw) > maxRecord {
		return &TooLargeError{Target: t, Bytes: len(raw)}
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return fmt.Errorf("encoding the record of %s: %w", t, err)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": n, "data": tree,
	}}
	obj.SetNamespace(t.Namespace)
	obj.SetName(recordName(t, n, part))
	obj.SetLabels(map[string]string{labelManaged: FieldManager, labelTarget: t.Hash(), labelPart: part, labelResult: result})
	obj.SetAnnotations(map[string]string{annTarget: t.String(), annRollout: name})
	_, err = a.cluster.client(revisionAPI(), t.Namespace).Create(ctx, obj, metav1.CreateOptions{FieldManager: FieldManager})
	return err
}

// finalData is the data of a record's second part.
type finalData struct {
	Final []map[string]any `json:"final"`
}

// Close sets result and verdict of a record, stores its final objects in a part of their own (the data of the first
// cannot be changed), and prunes. Closing twice is no error: a run that died in between does it again.
func (a *Archive) Close(ctx context.Context, t policy.Target, n int64, result, verdict string, final []map[string]any) error {
	doing := fmt.Sprintf("closing record %d of %s", n, t)
	if len(final) > 0 {
		err := a.create(ctx, t, n, partFinal, result, "", finalData{Final: final})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return a.cluster.explain(doing, err)
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]any{labelResult: result}, "annotations": map[string]any{annVerdict: verdict},
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = a.cluster.client(revisionAPI(), t.Namespace).Patch(ctx, recordName(t, n, partBase), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	if apierrors.IsNotFound(err) {
		// A part alone is no record.
		err := a.cluster.client(revisionAPI(), t.Namespace).Delete(ctx, recordName(t, n, partFinal), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return a.cluster.explain(doing, err)
		}
		return fmt.Errorf("%s: %w", doing, rollout.ErrNoRecord)
	}
	if err != nil {
		return a.cluster.explain(doing, err)
	}
	return a.prune(ctx, t, n)
}

// prune deletes the oldest records beyond the limit, never the one just closed and never one that still runs.
func (a *Archive) prune(ctx context.Context, t policy.Target, closed int64) error {
	all, err := a.list(ctx, t)
	if err != nil {
		return err
	}
	for _, n := range outdated(all, closed) {
		for _, part := range []string{partFinal, partBase} {
			err := a.cluster.client(revisionAPI(), t.Namespace).Delete(ctx, recordName(t, n, part), metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return a.cluster.explain(fmt.Sprintf("pruning record %d of %s", n, t), err)
			}
		}
	}
	return nil
}

// outdated are the numbers of the records to delete, oldest first.
func outdated(all []revision, closed int64) []int64 {
	var numbers, out []int64
	running := map[int64]bool{closed: true}
	for _, r := range all {
		if r.part() == partFinal {
			continue
		}
		numbers = append(numbers, r.number())
		running[r.number()] = running[r.number()] || r.result() == "running"
	}
	for _, n := range numbers[:max(len(numbers)-keepRecords, 0)] {
		if !running[n] {
			out = append(out, n)
		}
	}
	return out
}

// Records lists the records of a target, newest first.
func (a *Archive) Records(ctx context.Context, t policy.Target) ([]rollout.Record, error) {
	all, err := a.list(ctx, t)
	if err != nil {
		return nil, err
	}
	byNumber := map[int64]rollout.Record{}
	for _, r := range all {
		record, err := r.decode(byNumber[r.number()])
		if err != nil {
			return nil, err
		}
		byNumber[r.number()] = record
	}
	out := make([]rollout.Record, 0, len(byNumber))
	for n, r := range byNumber {
		r.Revision = n
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Revision > out[j].Revision })
	return out, nil
}

// decode adds what one part says to what the other said.
func (r revision) decode(have rollout.Record) (rollout.Record, error) {
	raw, err := json.Marshal(r.Object["data"])
	if err != nil {
		return have, fmt.Errorf("reading ControllerRevision %s/%s: %w", r.GetNamespace(), r.GetName(), err)
	}
	if r.part() == partFinal || strings.HasSuffix(r.GetName(), "-"+partFinal) {
		var f finalData
		if err := json.Unmarshal(raw, &f); err != nil {
			return have, fmt.Errorf("reading ControllerRevision %s/%s: %w", r.GetNamespace(), r.GetName(), err)
		}
		have.Final = f.Final
		return have, nil
	}
	final := have.Final
	if err := json.Unmarshal(raw, &have); err != nil {
		return have, fmt.Errorf("reading ControllerRevision %s/%s: %w", r.GetNamespace(), r.GetName(), err)
	}
	if len(final) > 0 {
		have.Final = final
	}
	have.Result = orElse(r.result(), have.Result)
	have.Verdict = orElse(r.GetAnnotations()[annVerdict], have.Verdict)
	return have, nil
}
