package metrics

import (
	"strings"
	"testing"
	"time"
)

// What is wrong with a source is said, and where it is: to whoever must put it right.
func TestVerdictsNameTheSourceAndWhatIsWrong(t *testing.T) {
	config := DefaultJudgeConfig()
	config.Source = "Prometheus at http://p"
	judge, err := NewJudge(config)
	if err != nil {
		t.Fatal(err)
	}
	began := start()
	step := JudgeStep{Kind: StepWatch, Share: 0.1, Max: 10 * time.Minute, Started: began}
	for name, c := range map[string]struct {
		tick  Tick
		after time.Duration
		want  []string
	}{
		"no series":    {Tick{}, 2 * time.Minute, []string{"no data: no series answers the query", "(Prometheus at http://p)"}},
		"old samples":  {Tick{Newest: began}, 2 * time.Minute, []string{"no data: the newest sample is 2 min old (Prometheus at http://p)"}},
		"rather old":   {Tick{Newest: began}, time.Minute, []string{"waiting: the newest sample is 60 s old (Prometheus at http://p)"}},
		"a value":      {Tick{Newest: began, Problems: []string{"x of p had the value NaN"}}, 5 * time.Second, []string{"waiting: ", "; x of p had the value NaN"}},
		"no counter":   {Tick{Newest: began, Unusable: "x of p goes up and down", Problems: []string{"x of p goes up and down"}}, 5 * time.Second, []string{"no data: x of p goes up and down (Prometheus at http://p)"}},
		"its own word": {Tick{Fault: "Prometheus at http://p cannot be reached"}, 5 * time.Second, []string{"waiting: Prometheus at http://p cannot be reached"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.tick.From, c.tick.To = began, began.Add(c.after)
			_, j := judge.Step(State{}, step, c.tick, began.Add(c.after))
			for _, want := range c.want {
				if !strings.Contains(j.Reason, want) {
					t.Errorf("%q does not say %q", j.Reason, want)
				}
			}
			if strings.Count(j.Reason, "goes up and down") > 1 || len(j.Findings) != len(c.tick.Problems) {
				t.Errorf("%q, findings %q", j.Reason, j.Findings)
			}
		})
	}
}

// Ids that the split cannot place are known from step 0 and no missing requests.
func TestUnusableIDsAreNotMissing(t *testing.T) {
	judge, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		t.Fatal(err)
	}
	stage := JudgeStep{Kind: StepStage, Share: 0.5, Min: 2 * time.Minute, Max: 5 * time.Minute, MinRequests: 200, Started: start()}
	watch := JudgeStep{Index: 1, Kind: StepWatch, Share: 0.25, Min: time.Minute, Max: 10 * time.Minute, Started: start().Add(2 * time.Minute)}
	for hanging, want := range map[float64]Verdict{0: Pass, 0.4: Wait} {
		state, j := ask(judge, State{}, stage, 2*time.Minute, func(from time.Time) Tick { return seen(from, 15*time.Second, 4, 350, 0, 650, 0) })
		if j.Verdict != Pass {
			t.Fatal(j.Reason)
		}
		_, j = ask(judge, state, watch, time.Minute, func(from time.Time) Tick {
			return seen(from, 15*time.Second, 4, 175*(1-hanging), 0, 825, 0)
		})
		if j.Verdict != want {
			t.Errorf("%v hang: %s, %s", hanging, j.Verdict, j.Reason)
		}
	}
}
