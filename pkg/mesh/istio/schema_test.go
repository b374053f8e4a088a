package istio_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang/protobuf/jsonpb" //nolint:staticcheck // what istiod itself reads objects with
	networking "istio.io/api/networking/v1alpha3"
	clientv1 "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
)

// strict decodes an object as istiod does, but refuses fields that Istio's API does not have.
func strict(o *unstructured.Unstructured) error {
	read := jsonpb.Unmarshaler{}
	s := asJSON(o.Object["spec"])
	switch o.GetKind() {
	case "VirtualService":
		if err := read.Unmarshal(strings.NewReader(s), &networking.VirtualService{}); err != nil {
			return err
		}
		return runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &clientv1.VirtualService{})
	case "DestinationRule":
		if err := read.Unmarshal(strings.NewReader(s), &networking.DestinationRule{}); err != nil {
			return err
		}
		return runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &clientv1.DestinationRule{})
	}
	return fmt.Errorf("no schema for %s", o.GetKind())
}

func TestStrictRefusesUnknownFields(t *testing.T) {
	for _, spec := range []string{"{hosts: [a], nope: 1}", "{http: [{matches: []}]}", "{http: [{timeout: soon}]}"} {
		if err := strict(objects(t, doc("VirtualService", "a/b", spec))[0]); err == nil {
			t.Errorf("%s is taken", spec)
		}
	}
}

// TestWritesAreIstiosOwnTypes decodes every write of every golden case, and of the way back.
func TestWritesAreIstiosOwnTypes(t *testing.T) {
	for _, c := range goldenCases(t) {
		for name, e := range exposures() {
			out, err := istio.New().Compile(c.base.snapshot(), c.change, e)
			if err != nil {
				continue
			}
			writes := istio.New().Neutralise(c.base.apply(out.Stages), c.change)
			for _, s := range out.Stages {
				writes = append(writes, s.Object)
			}
			for _, o := range writes {
				if err := strict(o); err != nil {
					t.Errorf("%s at %s: %s: %v", c.name, name, id(o), err)
				}
			}
		}
	}
}

func TestDrawnWritesAreIstiosOwnTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{t: t}
		w := world{service(), d.virtualService(), d.destinationRule()}
		ps := d.policies()
		if d.chance(50) {
			ps = []policy.Policy{breakerOf(d)}
		}
		for _, s := range compiled(t, w, changeOf(ps...), exposed(d)) {
			if err := strict(s.Object); err != nil {
				t.Fatalf("%s: %v\n%s", id(s.Object), err, asJSON(s.Object.Object))
			}
		}
	})
}
