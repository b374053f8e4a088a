package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
)

func phases() []rollout.Phase {
	return []rollout.Phase{"", rollout.Pending, rollout.Validating, rollout.AwaitingApproval, rollout.Progressing, rollout.Paused, rollout.Baking,
		rollout.Folding, rollout.Succeeded, rollout.RollingBack, rollout.RolledBack, rollout.Failed, rollout.Superseded, "Strange"}
}

func anyTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "seconds"), 0).UTC()
	})
}

func anyState() *rapid.Generator[rollout.State] {
	return rapid.Custom(func(t *rapid.T) rollout.State {
		return rollout.State{
			Version: 1, Name: "r", Phase: rapid.SampledFrom(phases()).Draw(t, "phase"), Step: rapid.IntRange(-2, 8).Draw(t, "step"),
			Stage: rapid.IntRange(-2, 4).Draw(t, "stage"), Written: rapid.Bool().Draw(t, "written"), Holding: rapid.Bool().Draw(t, "holding"),
			Since: anyTime().Draw(t, "since"), PauseUntil: anyTime().Draw(t, "until"), PausePassed: rapid.IntRange(-1, 8).Draw(t, "passed"),
			Undo: rapid.IntRange(-1, 6).Draw(t, "undo"), Tick: anyTime().Draw(t, "tick"), Seen: anyTime().Draw(t, "seen"), Deadline: anyTime().Draw(t, "deadline"),
			Reason: rapid.StringN(0, 20, 60).Draw(t, "reason"), Fence: rapid.Int64().Draw(t, "fence"),
		}
	})
}

func anyFacts() *rapid.Generator[rollout.Facts] {
	return rapid.Custom(func(t *rapid.T) rollout.Facts {
		pods := rapid.SliceOfN(rapid.SampledFrom([]string{"a/1", "a/2", "b/1", "b/2", "c/1"}), 0, 6)
		return rollout.Facts{
			Judgement: metrics.Judgement{Verdict: rapid.SampledFrom([]metrics.Verdict{"", metrics.Wait, metrics.Pass, metrics.Fail,
				metrics.Inconclusive, metrics.NoData, metrics.Error, "Strange"}).Draw(t, "verdict"), Reason: "why"},
			Edited: rapid.SampledFrom([]string{"", "edited"}).Draw(t, "edited"), Interrupted: rapid.Bool().Draw(t, "interrupted"),
			Trip:     metrics.Trip{Tripped: rapid.Bool().Draw(t, "tripped"), Pause: rapid.Bool().Draw(t, "pause")},
			OnSignal: rapid.SampledFrom([]string{"", "rollback", "pause"}).Draw(t, "onSignal"),
			Request:  rapid.SampledFrom([]string{"", "abort", "pause", "resume", "promote", "dance"}).Draw(t, "request"),
			Attended: rapid.Bool().Draw(t, "attended"), Candidates: pods.Draw(t, "candidates"), Cohort: pods.Draw(t, "cohort"), Labelled: pods.Draw(t, "labelled"),
		}
	})
}

func anyPlan() *rapid.Generator[*rollout.Plan] {
	kinds := []metrics.StepKind{metrics.StepStage, metrics.StepWatch, metrics.StepProof, metrics.StepBake, metrics.StepFold, metrics.StepClean, "strange"}
	object := &unstructured.Unstructured{Object: map[string]any{"kind": "X"}}
	return rapid.Custom(func(t *rapid.T) *rollout.Plan {
		p := &rollout.Plan{Name: "r", Back: rapid.Bool().Draw(t, "back"), Settings: rollout.Settings{
			OnFailure:      rapid.SampledFrom([]string{"", "pause", "rollback"}).Draw(t, "onFailure"),
			OnInconclusive: rapid.SampledFrom([]string{"", "wait", "pause", "rollback", "promote"}).Draw(t, "onInconclusive"),
			OnNoData:       rapid.SampledFrom([]string{"", "wait", "pause", "rollback", "promote"}).Draw(t, "onNoData"),
			NoAnalysis:     rapid.Bool().Draw(t, "noAnalysis"), Tick: time.Duration(rapid.Int64Range(-1, 1e11).Draw(t, "tick")),
		}}
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			s := rollout.PlannedStep{Step: strategy.Step{
				Name: "s", Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Pause: rapid.Bool().Draw(t, "pause"),
				PauseFor: time.Duration(rapid.Int64Range(-1, 1e12).Draw(t, "pauseFor")), Min: time.Duration(rapid.Int64Range(-1, 1e12).Draw(t, "min")),
				Max:      time.Duration(rapid.Int64Range(-1, 1e12).Draw(t, "max")),
				Exposure: policy.Exposure{By: policy.ByInstance, Mode: policy.Enforce, Share: rapid.Float64().Draw(t, "share")},
			}}
			s.Stages = make([]mesh.Stage, rapid.IntRange(0, 3).Draw(t, "stages"))
			for i := range s.Stages {
				s.Stages[i].Object = object
			}
			if rapid.Bool().Draw(t, "labels") {
				s.Labels = &mesh.CohortLabel{}
			}
			p.Steps = append(p.Steps, s)
		}
		return p
	})
}

func TestNextIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s, f, now := anyPlan().Draw(t, "plan"), anyState().Draw(t, "state"), anyFacts().Draw(t, "facts"), anyTime().Draw(t, "now")
		act := rollout.Next(p, s, f, now)
		if act == nil {
			t.Fatal("no answer")
		}
		if again := rollout.Next(p, s, f, now); !cmp.Equal(act, again) {
			t.Fatalf("two answers: %#v and %#v", act, again)
		}
		lawful(t, p, s, f, act)
	})
}

// lawful checks what no answer may break, whatever the state and the facts are.
func lawful(t *rapid.T, p *rollout.Plan, s rollout.State, f rollout.Facts, act rollout.Action) {
	forward := false
	switch a := act.(type) {
	case rollout.ActWrite:
		forward = true
		if a.Step < 0 || a.Step >= len(p.Steps) || a.Stage < 0 || a.Stage >= len(p.Steps[a.Step].Stages) {
			t.Fatalf("there is no stage %+v", a)
		}
	case rollout.ActLabel:
		forward = true
		for _, pod := range a.Pods {
			if pod == "" {
				t.Fatal("a pod without a name")
			}
		}
	case rollout.ActAdvance:
		forward = true
		promoted := f.Request == rollout.RequestPromote || p.Settings.NoAnalysis ||
			p.Settings.OnInconclusive == "promote" || p.Settings.OnNoData == "promote" || p.Steps[max(s.Step, 0)].Kind == metrics.StepClean
		if f.Judgement.Verdict != metrics.Pass && !promoted {
			t.Fatalf("a step ends without a Pass: %+v", f)
		}
	case rollout.ActEnd:
		if a.Phase == rollout.Succeeded && s.Phase != rollout.Succeeded && max(s.Step, 0) < len(p.Steps) {
			t.Fatal("it succeeds before its last step")
		}
	}
	stopped := f.Request == rollout.RequestAbort || f.Edited != "" || (f.Interrupted && s.Phase != rollout.Paused) || p.Back || s.Phase == rollout.RollingBack
	if forward && stopped {
		t.Fatalf("it goes forward with %#v although %+v", act, f)
	}
}

func TestWayBackEndsFromEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s, f := anyPlan().Draw(t, "plan"), anyState().Draw(t, "state"), anyFacts().Draw(t, "facts")
		s.Phase, s.Undo = rollout.RollingBack, max(s.Undo, 0)
		var seen []string
		for range 6 {
			switch act := rollout.Next(p, s, f, time.Time{}).(type) {
			case rollout.ActNeutralise:
				seen = append(seen, "neutralise")
			case rollout.ActUnlabel:
				seen = append(seen, "unlabel")
			case rollout.ActTidy:
				seen = append(seen, "tidy")
			case rollout.ActRelease:
				seen = append(seen, "release")
			case rollout.ActEnd:
				if act.Phase != rollout.RolledBack {
					t.Fatalf("ended as %s", act.Phase)
				}
				if all := "neutralise unlabel tidy release"; !strings.HasSuffix(all, strings.Join(seen, " ")) {
					t.Fatalf("order %q", seen)
				}
				return
			default:
				t.Fatalf("%#v on the way back", act)
			}
			s.Undo++
		}
		t.Fatal("no end")
	})
}

func TestInstanceCount(t *testing.T) {
	cases := []struct {
		share float64
		pods  int
		want  int
	}{
		{0.01, 0, 0}, {0, 3, 0}, {-1, 3, 0}, {0.01, 1, 1}, {0.01, 3, 1}, {0.25, 4, 1}, {0.25, 5, 2}, {0.5, 3, 2}, {0.95, 2, 1},
		{0.95, 20, 19}, {0.99, 20, 19}, {1, 3, 3}, {1, 1, 1}, {2, 3, 3}, {1.0 / 3, 3, 1},
	}
	for _, c := range cases {
		if got := rollout.InstanceCount(policy.Exposure{Share: c.share}, c.pods); got != c.want {
			t.Errorf("%g of %d pods: %d, want %d", c.share, c.pods, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		share, pods := rapid.Float64().Draw(t, "share"), rapid.IntRange(-1, 5000).Draw(t, "pods")
		if n := rollout.InstanceCount(policy.Exposure{Share: share}, pods); n < 0 || n > max(pods, 0) {
			t.Fatalf("%g of %d pods: %d", share, pods, n)
		}
	})
}

// A Fail that rests on the past alone pauses, whatever is set for failures (JUDGE.md section 2).
func TestAFailOfThePastPauses(t *testing.T) {
	p := &rollout.Plan{Settings: rollout.Settings{OnFailure: "rollback", Tick: 15 * time.Second},
		Steps: []rollout.PlannedStep{{Step: strategy.Step{Name: "fold", Kind: metrics.StepFold}}}}
	s := rollout.State{Phase: rollout.Folding, Holding: true}
	for _, pause := range []bool{true, false} {
		f := rollout.Facts{Judgement: metrics.Judgement{Verdict: metrics.Fail, Reason: "worse than before", Pause: pause}}
		got := rollout.Next(p, s, f, time.Now())
		if _, paused := got.(rollout.ActPause); paused != pause {
			t.Errorf("pause %t: %#v", pause, got)
		}
	}
}

// A trip comes before everything but what ends the rollout anyway; it counts only while the step is judged.
func TestATripDecidesAtOnce(t *testing.T) {
	plan := &rollout.Plan{Steps: []rollout.PlannedStep{{Step: strategy.Step{Kind: metrics.StepWatch}}}}
	trip := rollout.Facts{Trip: metrics.Trip{Tripped: true, Reason: "all fail"}, Judgement: metrics.Judgement{Verdict: metrics.Pass}, OnSignal: rollout.OnSignalPause}
	for name, c := range map[string]struct {
		change func(*rollout.Plan, *rollout.State, *rollout.Facts)
		want   rollout.Action
	}{
		"by request":           {nil, rollout.ActTakeBack{Cause: rollout.CauseBreach, Reason: "tripwire: all fail"}},
		"by instance":          {func(_ *rollout.Plan, _ *rollout.State, f *rollout.Facts) { f.Trip.Pause = true }, rollout.ActPause{Cause: rollout.CauseBreach, Reason: "harm found: tripwire: all fail"}},
		"a pause is asked for": {func(p *rollout.Plan, _ *rollout.State, _ *rollout.Facts) { p.Settings.OnFailure = "pause" }, rollout.ActPause{Cause: rollout.CauseBreach, Reason: "harm found: tripwire: all fail"}},
		"aborted":              {func(_ *rollout.Plan, _ *rollout.State, f *rollout.Facts) { f.Request = rollout.RequestAbort }, rollout.ActTakeBack{Cause: rollout.CausePerson, Reason: "aborted by a person"}},
		"a signal that pauses": {func(_ *rollout.Plan, _ *rollout.State, f *rollout.Facts) { f.Interrupted = true }, rollout.ActTakeBack{Cause: rollout.CauseBreach, Reason: "tripwire: all fail"}},
		"not judged yet":       {func(_ *rollout.Plan, s *rollout.State, _ *rollout.Facts) { s.Holding = false }, rollout.ActHold{}},
	} {
		p, s, f := *plan, rollout.State{Phase: rollout.Progressing, Holding: true}, trip
		if c.change != nil {
			c.change(&p, &s, &f)
		}
		if got := rollout.Next(&p, s, f, time.Time{}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPhaseAt(t *testing.T) {
	p := &rollout.Plan{Steps: []rollout.PlannedStep{
		{Step: strategy.Step{Kind: metrics.StepStage}}, {Step: strategy.Step{Kind: metrics.StepProof}}, {Step: strategy.Step{Kind: metrics.StepBake}},
		{Step: strategy.Step{Kind: metrics.StepFold}}, {Step: strategy.Step{Kind: metrics.StepClean}},
	}}
	want := []rollout.Phase{rollout.Progressing, rollout.Progressing, rollout.Baking, rollout.Folding, rollout.Folding, rollout.Folding}
	for i, phase := range want {
		if got := rollout.PhaseAt(p, i); got != phase {
			t.Errorf("step %d: %s, want %s", i, got, phase)
		}
	}
	if got := rollout.PhaseAt(p, -1); got != rollout.Progressing {
		t.Errorf("before the first step: %s", got)
	}
}
