package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
)

func sampleState() rollout.State {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return rollout.State{
		Version: 1, Name: "cart-timeout", Target: policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"},
		Policies: []policy.Key{{Kind: "Timeout", Namespace: "shop", Name: "cart-timeout"}}, Strategy: "canary", Rev: "0a1b2c3d", Digest: "sha256:00",
		Revision: 3, Phase: rollout.Progressing, Step: 2, Steps: 6, Stage: 1, Written: true, Holding: true, Since: now, PausePassed: 2,
		Touched: []rollout.Touched{{Ref: vsRef(), Spec: "abc", Ours: true}, {Ref: drRef(), Absent: true, Back: true}},
		Forms:   map[string]string{"a": "b"}, Instances: []string{"shop/front-1"}, Callers: []string{"shop/front"},
		Judge: metrics.State{Version: "first", Step: 2, Ticks: 4, Detail: []byte(`{"x":1}`)}, Tick: now, Seen: now,
		Trip: metrics.TripState{A: 561.2, Rem: 0.4, Begun: 2, Step: 2, Pods: []uint16{7, 41}, Groups: 2, Open: [][4]float64{{3, 1, 40, 0}, {2, 0, 31, 1}}, Age: 2}, TripBase: 0.004,
		Results: []rollout.StepResult{{Name: "step 0", Judgement: metrics.Judgement{Verdict: metrics.Pass, Reason: "alike"}, Confirmed: 6, Barrier: 0.4}},
		Started: now, Updated: now, Deadline: now.Add(time.Hour), Request: "pause", Fence: 7,
	}
}

func TestStateRoundTrip(t *testing.T) {
	want := sampleState()
	text, err := want.Encode()
	must(t, err)
	got, err := rollout.DecodeState(text)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := anyState().Draw(t, "state")
		text, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := rollout.DecodeState(text)
		known := s.Phase != "" && s.Phase != "Strange"
		valid := known && s.Step >= 0 && s.Stage >= 0 && s.Undo >= 0 && s.Fence >= 0
		if (err == nil) != valid {
			t.Fatalf("decoding %s: %v", text, err)
		}
		if valid && !cmp.Equal(s, got) {
			t.Fatalf("(-want +got):\n%s", cmp.Diff(s, got))
		}
	})
}

func TestDecodeStateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "decoding a rollout's state",
		"{":                               "decoding a rollout's state",
		`{"version":0}`:                   "version 0",
		`{"version":99,"phase":"Paused"}`: "newer meshpol",
		`{"version":1,"phase":"Dancing"}`: "phase \"Dancing\" is not known",
		`{"version":1,"phase":"Paused","step":-1}`: "negative",
	} {
		if _, err := rollout.DecodeState(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}

func TestStateHasALimit(t *testing.T) {
	s := sampleState()
	s.Reason = strings.Repeat("x", 33<<10)
	if _, err := s.Encode(); err == nil || !strings.Contains(err.Error(), "annotation") {
		t.Errorf("got %v", err)
	}
}

// TestStateOfALongRolloutFits has very many steps, each with a long reason and many response codes.
func TestStateOfALongRolloutFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := prepare(t, spec{})
		var steps []strategy.Step
		for i := range 100 {
			s := b.steps[1]
			s.Name, s.Min = fmt.Sprintf("%d", i), time.Second
			s.Exposure.Window = policy.NewWindow(b.name, float64(i+1)/200)
			steps = append(steps, s)
		}
		b.steps = append(steps, b.steps[len(b.steps)-1])
		b.judge = judgeFunc(func(s metrics.State, step metrics.JudgeStep, _ metrics.Tick, now time.Time) (metrics.State, metrics.Judgement) {
			codes := map[string]float64{"200": 1, "201": 1, "404": 1, "500": 1, "502": 1, "503": 1, "504": 1}
			counts := metrics.Counts{Requests: 123456, Codes: codes}
			return metrics.State{Version: "x", Step: step.Index, Detail: []byte(`"` + strings.Repeat("d", 4000) + `"`)},
				metrics.Judgement{Verdict: metrics.Pass, Reason: strings.Repeat("a long reason ", 100), New: counts, Old: counts}
		})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if len(b.plan.Steps) < 100 {
			t.Fatalf("only %d steps", len(b.plan.Steps))
		}
		stored, _, err := b.world.Stored(b.change.Target)
		must(t, err)
		if stored.Phase != rollout.Succeeded || len(stored.Results) < 3 {
			t.Errorf("stored %s with %d results", stored.Phase, len(stored.Results))
		}
		if last := stored.Results[len(stored.Results)-1]; last.Name != "clean-up" {
			t.Errorf("the last result is of %s", last.Name)
		}
		if len(got.State.Results) != len(b.plan.Steps) {
			t.Errorf("the result has %d of %d steps", len(got.State.Results), len(b.plan.Steps))
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	text, err := sampleState().Encode()
	must(f, err)
	f.Add(text)
	f.Add(`{"version":1,"phase":"Paused"}`)
	f.Add(`{"version":1,"phase":"RollingBack","undo":9,"touched":[{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := rollout.DecodeState(text)
		if err != nil {
			return
		}
		if rollout.Next(&rollout.Plan{}, s, rollout.Facts{}, time.Time{}) == nil {
			t.Fatal("no answer")
		}
		again, err := s.Encode()
		if err != nil {
			return // too large
		}
		if _, err := rollout.DecodeState(again); err != nil {
			t.Fatalf("what was decoded cannot be decoded again: %v", err)
		}
	})
}
