package v1alpha1_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func length(d time.Duration) *v1alpha1.Duration { return &v1alpha1.Duration{Duration: d} }

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRolloutDefaults(t *testing.T) {
	const analysis = `"analysis":{"falseRollback":0.01,"passMargin":2,"passMarginMax":10,"latencyMargin":1.2,"latencyMarginMax":1.5,"minRequests":20,"step0":{"min":"2m","max":"5m","minRequests":200},"tripwire":{"action":"rollback"},"tick":"15s","onInconclusive":"wait","onNoData":"wait"}`
	cases := map[string]struct {
		in   v1alpha1.RolloutSpec
		want string
	}{
		"canary": {v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Canary: &v1alpha1.Canary{}}},
			`{"strategy":{"canary":{}},` + analysis + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
		"direct": {v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Direct: &v1alpha1.Direct{}}},
			`{"strategy":{"direct":{}},` + analysis + `,"bake":"2m","onFailure":"rollback","deadline":"2h"}`},
		"blue-green": {v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{BlueGreen: &v1alpha1.BlueGreen{}}},
			`{"strategy":{"blueGreen":{"keepOld":"5m"}},` + analysis + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
		"rolling": {v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{Rolling: &v1alpha1.Rolling{}}},
			`{"strategy":{"rolling":{"batch":25,"by":"instance"}},` + analysis + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
		"ab": {v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{AB: &v1alpha1.AB{}}},
			`{"strategy":{"ab":{"match":null,"duration":"30m","then":"ask"}},` + analysis + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
		"a long step 0 stretches its end": {v1alpha1.RolloutSpec{Analysis: v1alpha1.Analysis{Step0: &v1alpha1.Step0{Min: length(time.Hour)}}},
			`{"strategy":{},` + strings.Replace(analysis, `"min":"2m","max":"5m"`, `"min":"1h","max":"1h"`, 1) + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
		"a short step 0 shortens its least time": {v1alpha1.RolloutSpec{Analysis: v1alpha1.Analysis{Step0: &v1alpha1.Step0{Max: length(time.Second)}}},
			`{"strategy":{},` + strings.Replace(analysis, `"min":"2m","max":"5m"`, `"min":"1s","max":"1s"`, 1) + `,"bake":"5m","onFailure":"rollback","deadline":"2h"}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := asJSON(t, c.in)
			got := v1alpha1.DefaultRolloutSpec(c.in)
			if diff := cmp.Diff(c.want, asJSON(t, got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(asJSON(t, got), asJSON(t, v1alpha1.DefaultRolloutSpec(got))); diff != "" {
				t.Errorf("a second time changes something: %s", diff)
			}
			if diff := cmp.Diff(before, asJSON(t, c.in)); diff != "" {
				t.Errorf("the argument was edited: %s", diff)
			}
		})
	}
}

// TestTagsNameTheDefaults compares the defaults in the tags with those that are filled in.
func TestTagsNameTheDefaults(t *testing.T) {
	full := v1alpha1.DefaultRolloutSpec(v1alpha1.RolloutSpec{Strategy: v1alpha1.Strategy{
		BlueGreen: &v1alpha1.BlueGreen{}, Rolling: &v1alpha1.Rolling{}, AB: &v1alpha1.AB{}}})
	n := 0
	for _, part := range []any{full, full.Analysis, *full.Analysis.Step0, *full.Strategy.BlueGreen, *full.Strategy.Rolling, *full.Strategy.AB} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			f := v.Type().Field(i)
			_, rest, ok := strings.Cut(f.Tag.Get("jsonschema"), "default=")
			if !ok {
				continue
			}
			n++
			want, _, _ := strings.Cut(rest, ",")
			if got := strings.Trim(asJSON(t, v.Field(i).Interface()), `"`); got != want {
				t.Errorf("%s.%s is %s, the tag says %s", v.Type().Name(), f.Name, got, want)
			}
		}
	}
	if n < 12 {
		t.Errorf("only %d defaults were found", n)
	}
}

func TestStepList(t *testing.T) {
	p := func(v v1alpha1.Percent) *v1alpha1.Percent { return &v }
	steps := []v1alpha1.CanaryStep{{SetWeight: p(1)}, {Pause: &v1alpha1.Pause{}}, {SetWeight: p(50)}}
	cases := map[string]struct {
		in      v1alpha1.Canary
		want    []v1alpha1.CanaryStep
		falling int
	}{
		"none":       {v1alpha1.Canary{}, nil, -1},
		"long form":  {v1alpha1.Canary{Steps: steps}, steps, -1},
		"short form": {v1alpha1.Canary{StepWeights: []v1alpha1.Percent{1, 50}}, []v1alpha1.CanaryStep{{SetWeight: p(1)}, {SetWeight: p(50)}}, -1},
		"falling":    {v1alpha1.Canary{StepWeights: []v1alpha1.Percent{1, 50, 25}}, []v1alpha1.CanaryStep{{SetWeight: p(1)}, {SetWeight: p(50)}, {SetWeight: p(25)}}, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.in.StepList()); diff != "" {
				t.Error(diff)
			}
			if got := v1alpha1.NotGrowing(c.in.StepList()); got != c.falling {
				t.Errorf("step %d does not grow, want %d", got, c.falling)
			}
		})
	}
}

func TestHeadersAreReachable(t *testing.T) {
	r := &v1alpha1.Rollout{}
	r.Type().Kind, r.Meta().Name = "Rollout", "x"
	if r.Kind != "Rollout" || r.Name != "x" {
		t.Errorf("%+v", r.Header)
	}
	if got := (v1alpha1.Strategy{Canary: &v1alpha1.Canary{}, Direct: &v1alpha1.Direct{}}).Names(); len(got) != 2 {
		t.Error(got)
	}
}
