package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// SpecHash is a short hash of what a mesh reads of an object: everything but metadata and status. It is empty for nil.
func SpecHash(o *unstructured.Unstructured) string {
	if o == nil {
		return ""
	}
	return fullHash(content(o))[:16]
}

// content is what a mesh reads of an object.
func content(o *unstructured.Unstructured) map[string]any {
	out := map[string]any{}
	for k, v := range o.Object {
		if k != "metadata" && k != "status" && k != "apiVersion" {
			out[k] = v
		}
	}
	return out
}

// digestBody is a write as the digest sees it. Metadata counts only where the write creates the object: an update keeps
// what is there, and a live object's metadata changes with every write of anybody.
type digestBody struct {
	Ref                 Ref
	Delete              bool
	Content             map[string]any
	Labels, Annotations map[string]string
}

func bodyOf(p *Plan, st mesh.Stage) digestBody {
	b := digestBody{Ref: RefOf(st.Object), Delete: st.Delete, Content: content(st.Object)}
	if p.BaseOf(b.Ref) == nil {
		b.Labels, b.Annotations = st.Object.GetLabels(), st.Object.GetAnnotations()
	}
	return b
}

// digestOf covers what a person approves. Not in it: notes and which steps are left out, which come of
// today's traffic, and how long a run waits for proxies and scrapes.
func digestOf(in PlanInput, p *Plan) string {
	steps := make([]strategy.Step, len(in.Steps))
	bodies := make([][]digestBody, len(p.Steps))
	specs := map[string]string{}
	for i, s := range in.Steps {
		s.Notes, s.Dropped = nil, false
		steps[i] = s
	}
	for i, s := range p.Steps {
		for _, st := range s.Stages {
			bodies[i] = append(bodies[i], bodyOf(p, st))
		}
	}
	for _, o := range p.Base {
		specs[RefOf(o).String()] = SpecHash(o)
	}
	settings := in.Settings
	settings.Tick, settings.PropagationTimeout, settings.History = 0, 0, 0
	return "sha256:" + fullHash(map[string]any{
		"name": in.Name, "target": in.Change.Target, "documents": in.Documents, "steps": steps, "settings": settings,
		"bodies": bodies, "specs": specs,
	})
}

// RevOf is the rev of a run of a plan: another one for every run, so that old series are never taken for new ones.
func RevOf(digest string, started time.Time) string {
	return fullHash(digest + started.UTC().Format(time.RFC3339Nano))[:8]
}

func fullHash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = fmt.Appendf(nil, "unencodable: %v", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
