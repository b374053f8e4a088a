package metrics

import (
	"testing"
	"time"
)

// A person who goes on after a Fail has looked: the score begins anew, and the next Fail needs all of the evidence again.
func TestAResumeSetsTheScoreAside(t *testing.T) {
	j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
	step := JudgeStep{Index: 3, Kind: StepWatch, Share: 0.25, Min: 2 * time.Minute, Max: 10 * time.Minute, Started: start()}
	harmed := steady(750, 9, 2250, 2)
	until := func(state State, from time.Time) (State, time.Time, Judgement) {
		got := Judgement{Verdict: Wait}
		for got.Verdict != Fail && from.Before(start().Add(time.Hour)) {
			tick := harmed(from)
			from = from.Add(15 * time.Second)
			state, got = j.Step(state, step, tick, from)
		}
		return state, from, got
	}
	state, first, got := until(State{}, start())
	if got.Verdict != Fail {
		t.Fatal(got.Verdict, got.Reason)
	}
	again, _ := j.Step(state, step, harmed(first), first.Add(15*time.Second))
	if _, got = j.Step(again, step, harmed(first), first.Add(30*time.Second)); got.Verdict != Fail {
		t.Fatal("without a resume the score stands:", got.Verdict, got.Reason)
	}
	step.Resumes = 1
	state, got = j.Step(state, step, steady(750, 0, 2250, 0)(first), first.Add(15*time.Second))
	if got.Verdict == Fail || got.Score > 1.1 {
		t.Fatal("after a resume:", got.Verdict, got.Score, got.Reason)
	}
	_, second, got := until(state, first.Add(15*time.Second))
	if took, before := second.Sub(first), first.Sub(start()); got.Verdict != Fail || took < before/2 {
		t.Errorf("harm that goes on: %s after %s, at first after %s", got.Verdict, took, before)
	}
}

// Where nobody is left to compare with, a person accepts what is there: it passes, and what is far worse asks again.
func TestAResumeAcceptsWhatAPersonHasSeen(t *testing.T) {
	for name, step := range map[string]JudgeStep{
		"fold": {Index: 6, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()},
		"bake": {Index: 6, Kind: StepBake, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()},
	} {
		for _, c := range []struct {
			seen, later float64
			after       time.Duration
			want        Verdict
		}{
			{0.02, 0.02, 3 * time.Minute, Pass},
			{0.1, 0.1, 3 * time.Minute, Pass},
			{0.02, 0.2, 3 * time.Minute, Wait},
			{0.02, 0.2, 6 * time.Minute, Fail},
			{0.002, 0.02, 3 * time.Minute, Fail},
		} {
			j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
			state, got := ask(j, State{}, step, time.Minute, steady(3000, 3000*c.seen, 0, 0))
			if c.seen > 0.01 && got.Verdict != Fail {
				t.Fatal(name, c.seen, got.Verdict, got.Reason)
			}
			resumed := step
			resumed.Resumes, resumed.Started = 1, start().Add(time.Minute)
			_, got = ask(j, state, resumed, c.after, steady(3000, 3000*c.later, 0, 0))
			if got.Verdict != c.want || got.Verdict == Fail && !got.Pause {
				t.Errorf("%s, %v was seen, %v later: %s, pause %t: %s", name, c.seen, c.later, got.Verdict, got.Pause, got.Reason)
			}
		}
	}
}
