package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func digest(t *testing.T, in rollout.PlanInput) string {
	t.Helper()
	p, err := rollout.NewPlan(istio.New(), in)
	must(t, err)
	return p.Digest
}

func TestDigest(t *testing.T) {
	cases := map[string]struct {
		change func(b *bench, in *rollout.PlanInput)
		same   bool
	}{
		"the rev of a run": {same: true, change: func(_ *bench, in *rollout.PlanInput) { in.Change.Rev = "deadbeef" }},
		"pods and replicas": {same: true, change: func(b *bench, in *rollout.PlanInput) {
			b.world.SetPod(fakemesh.Pod("shop", "more", "more-1"))
			in.Snapshot = b.world.Snapshot()
		}},
		"resourceVersions, owners, annotations": {same: true, change: func(b *bench, in *rollout.PlanInput) {
			b.world.Edit(vsRef(), "person", annotate("a", "b"))
			in.Snapshot = b.world.Snapshot()
		}},
		"status": {same: true, change: func(b *bench, in *rollout.PlanInput) {
			b.world.Edit(vsRef(), "istiod", func(o *unstructured.Unstructured) { o.Object["status"] = map[string]any{"ok": true} })
			in.Snapshot = b.world.Snapshot()
		}},
		"notes on today's traffic": {same: true, change: func(_ *bench, in *rollout.PlanInput) { in.Steps[1].Notes = []string{"MP222: too little traffic"} }},
		"steps left out":           {same: true, change: func(_ *bench, in *rollout.PlanInput) { in.Steps[1].Dropped = true }},
		"how long a run waits":     {same: true, change: func(_ *bench, in *rollout.PlanInput) { in.Settings.Tick, in.Settings.PropagationTimeout = 1, 2 }},
		"the time":                 {same: true, change: func(*bench, *rollout.PlanInput) { time.Sleep(time.Hour) }},
		"a policy's document":      {change: func(_ *bench, in *rollout.PlanInput) { in.Documents[0]["x"] = "y" }},
		"the Rollout":              {change: func(_ *bench, in *rollout.PlanInput) { in.Documents[1]["x"] = "y" }},
		"a step":                   {change: func(_ *bench, in *rollout.PlanInput) { in.Steps[1].Min++ }},
		"analysis switched off":    {change: func(_ *bench, in *rollout.PlanInput) { in.Settings.NoAnalysis = true }},
		"what a failure leads to":  {change: func(_ *bench, in *rollout.PlanInput) { in.Settings.OnFailure = "pause" }},
		"the spec that is touched": {change: func(b *bench, in *rollout.PlanInput) {
			b.world.Edit(vsRef(), "person", addHost)
			in.Snapshot = b.world.Snapshot()
		}},
		"the compiled body": {change: func(b *bench, in *rollout.PlanInput) {
			in.Change.Policies = append([]policy.Policy{}, in.Change.Policies...)
			other := prepare(b.t, spec{policy: strings.Replace(cartTimeout, "250ms", "300ms", 1)})
			in.Change.Policies = other.change.Policies
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				first := digest(t, b.input())
				in := b.input()
				c.change(b, &in)
				if got := digest(t, in); (got == first) != c.same {
					t.Errorf("digest %s, was %s; want the same: %v", got, first, c.same)
				}
			})
		})
	}
}

func TestRevsOfOnePlanDiffer(t *testing.T) {
	now := time.Now()
	a, b := rollout.RevOf("sha256:1", now), rollout.RevOf("sha256:1", now.Add(time.Nanosecond))
	if a == b || len(a) != 8 {
		t.Errorf("revs %q and %q", a, b)
	}
}

func TestPlan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()})
		p := b.planned()
		var kinds []string
		for _, s := range p.Steps {
			var writes []string
			for _, st := range s.Stages {
				writes = append(writes, st.Object.GetKind())
			}
			kinds = append(kinds, s.Name+": "+strings.Join(writes, ", "))
		}
		want := []string{"step 0: VirtualService", "1 %: DestinationRule, VirtualService", "50 %: ", "bake: ", "fold: DestinationRule, VirtualService", "clean-up: VirtualService, DestinationRule"}
		if strings.Join(kinds, "\n") != strings.Join(want, "\n") {
			t.Errorf("steps %q, want %q", kinds, want)
		}
		if p.Steps[5].Kind != metrics.StepClean || len(p.Base) != 2 || len(p.Absent) != 0 {
			t.Errorf("clean-up is %s, base %d, absent %d", p.Steps[5].Kind, len(p.Base), len(p.Absent))
		}
		if got := p.Before(0, 0, vsRef()); rollout.SpecHash(got) != rollout.SpecHash(b.before[vsRef()]) {
			t.Error("before the first write there is the base")
		}
		if got := p.Before(1, 1, vsRef()); got != p.Steps[0].Stages[0].Object {
			t.Error("before the second write of the routes there is the first")
		}
		if got := p.Before(len(p.Steps), 0, drRef()); got != p.Steps[5].Stages[1].Object {
			t.Error("in the end there is the last write")
		}
		if got := p.Before(3, 0, rollout.Ref{Kind: "Other"}); got != nil {
			t.Error("an object that is not touched")
		}
	})
}

func TestUnsupportedComesThrough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		in := b.input()
		in.Steps[1].Exposure.Mode = policy.Observe
		_, err := rollout.NewPlan(istio.New(), in)
		var unsupported *policy.UnsupportedError
		if !errors.As(err, &unsupported) {
			t.Errorf("got %v", err)
		}
	})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	many := rollout.Proof{Confirmed: 1, Concerned: 8, Stragglers: []string{"a", "b", "c", "d", "e", "f", "g"}}
	cause := errors.New("because")
	for want, err := range map[string]error{
		"1 of 8 proxies hold the change; missing: a, b, c, d, e and 2 more":                                      &rollout.StragglersError{Proof: many},
		"1 proxies refused the configuration; a says: no":                                                        &rollout.RejectedError{Proof: rollout.Proof{Rejected: []rollout.Rejection{{Proxy: "a", Message: "no"}}}},
		"x is locked by y (last sign of life 1970-01-01T00:00:00Z); wait":                                        &rollout.LockedError{What: "x", Holder: "y", Renewed: time.Unix(0, 0), Next: "wait"},
		"writing VirtualService shop/cart: because":                                                              &rollout.RefusedError{Ref: vsRef(), Err: cause},
		"writing VirtualService shop/cart: somebody else changed it meanwhile: because":                          &rollout.ConflictError{Ref: vsRef(), Err: cause},
		"VirtualService shop/cart belongs to rollout z/1 at the moment; wait for its end, or see meshpol status": &rollout.MarkedError{Ref: vsRef(), Other: "z/1"},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if !errors.Is(&rollout.RefusedError{Err: cause}, cause) || !errors.Is(&rollout.ConflictError{Err: cause}, cause) {
		t.Error("the API server's error is hidden")
	}
}
