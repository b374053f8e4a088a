package fakekube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// patch applies a JSON patch or a JSON merge patch. A resourceVersion in the result is a precondition.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, p path, body []byte) {
	before := s.objects[p.key()]
	after := before.DeepCopy()
	var err error
	switch types.PatchType(r.Header.Get("Content-Type")) {
	case types.JSONPatchType:
		err = jsonPatch(after.Object, body)
	case types.MergePatchType:
		var m map[string]any
		if err = json.Unmarshal(body, &m); err == nil {
			merge(after.Object, m)
		}
	default:
		writeStatus(w, http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "the body of the request was in an unknown format")
		return
	}
	if err != nil {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if after.GetResourceVersion() != before.GetResourceVersion() {
		s.conflict(w, p)
		return
	}
	s.store(w, r, p, &unstructured.Unstructured{Object: after.Object}, before, http.StatusOK)
}

// merge is RFC 7386.
func merge(into, patch map[string]any) {
	for k, v := range patch {
		if v == nil {
			delete(into, k)
			continue
		}
		m, ok := v.(map[string]any)
		if !ok {
			into[k] = v
			continue
		}
		have, ok := into[k].(map[string]any)
		if !ok {
			have = map[string]any{}
			into[k] = have
		}
		merge(have, m)
	}
}

// jsonPatch knows add and replace, which is what meshpol sends.
func jsonPatch(doc map[string]any, body []byte) error {
	var ops []struct {
		Op, Path string
		Value    any
	}
	if err := json.Unmarshal(body, &ops); err != nil {
		return fmt.Errorf("decoding a JSON patch: %w", err)
	}
	for _, op := range ops {
		if op.Op != "replace" && op.Op != "add" {
			return fmt.Errorf("JSON patch: %q is not known here", op.Op)
		}
		parts := strings.Split(strings.Trim(op.Path, "/"), "/")
		at := doc
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				return fmt.Errorf("JSON patch: no %s", op.Path)
			}
			at = next
		}
		last := parts[len(parts)-1]
		if _, ok := at[last]; !ok && op.Op == "replace" {
			return fmt.Errorf("JSON patch: no %s to replace", op.Path)
		}
		at[last] = op.Value
	}
	return nil
}
