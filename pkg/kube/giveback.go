package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/meshpol/meshpol/pkg/rollout"
)

const giveBackTries = 8

// GiveBack restores the managedFields of an object whose ownership was changed by our writes, and nothing else: what
// we wrote stays, the former owners own it again, and their next server-side apply has no conflict. An object that is
// gone, or that had no owner noted, is left alone.
func (c *Cluster) GiveBack(ctx context.Context, ref rollout.Ref, managed []any) error {
	if len(managed) == 0 {
		return nil
	}
	client, err := c.resource(ctx, ref.APIVersion, ref.Kind, ref.Namespace)
	if err != nil {
		return fmt.Errorf("giving the fields of %s back: %w", ref, err)
	}
	for try := 1; ; try++ {
		err := giveBackOnce(ctx, client, ref.Name, managed)
		switch {
		case err == nil || apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsConflict(err) || try == giveBackTries:
			return c.explain("giving the fields of "+ref.String()+" back to their owners", err)
		}
	}
}

func giveBackOnce(ctx context.Context, client dynamic.ResourceInterface, name string, managed []any) error {
	live, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	current, _, _ := unstructured.NestedSlice(live.Object, "metadata", "managedFields")
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": owners(managed, current)},
		// With the resourceVersion in it, the patch is a conflict where somebody wrote meanwhile.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return fmt.Errorf("encoding managedFields: %w", err)
	}
	_, err = client.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	return err
}

// owners are the former entries, with what the same owners took meanwhile added, and the entries of owners that came
// later. Our own entries go.
func owners(former, current []any) []any {
	out := make([]any, 0, len(former)+len(current))
	seen := map[string]int{}
	add := func(entry any) {
		m, ok := entry.(map[string]any)
		if !ok || m["manager"] == FieldManager {
			return
		}
		key := fmt.Sprint(m["manager"], "\x00", m["operation"], "\x00", m["subresource"])
		if i, ok := seen[key]; ok {
			out[i] = mergeEntry(out[i].(map[string]any), m)
			return
		}
		seen[key] = len(out)
		out = append(out, m)
	}
	for _, e := range former {
		add(e)
	}
	for _, e := range current {
		add(e)
	}
	return out
}

// mergeEntry is a former entry with the fields of a current one added, where both speak of the same API version.
func mergeEntry(former, current map[string]any) map[string]any {
	if former["apiVersion"] != current["apiVersion"] {
		return former
	}
	out := map[string]any{}
	for k, v := range former {
		out[k] = v
	}
	out["fieldsV1"] = unite(former["fieldsV1"], current["fieldsV1"])
	return out
}

// unite is the union of two field sets, which are nested maps.
func unite(a, b any) any {
	am, aok := a.(map[string]any)
	bm, bok := b.(map[string]any)
	if !aok || !bok {
		if aok {
			return a
		}
		return b
	}
	out := make(map[string]any, len(am)+len(bm))
	for k, v := range am {
		out[k] = v
	}
	for k, v := range bm {
		if have, ok := out[k]; ok {
			v = unite(have, v)
		}
		out[k] = v
	}
	return out
}
