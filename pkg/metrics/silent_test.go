package metrics

import (
	"strings"
	"testing"
	"time"
)

// In the fold nobody is left to compare with: requests that all hang are missed by what flowed before. A source that
// stands still, and a service of which little is known, say nothing.
func TestRequestsThatAreGoneInTheFold(t *testing.T) {
	step := JudgeStep{Index: 0, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 10 * time.Minute, Started: start()}
	for name, c := range map[string]struct {
		past   History
		frozen bool
		want   Verdict
		reason string
	}{
		"all hang":        {pastOf(0.001), false, Inconclusive, "silent: 0 of about 12,000 requests"},
		"a frozen source": {pastOf(0.001), true, Wait, ""},
		"nothing known":   {History{}, false, Wait, ""},
	} {
		j := judge(t, func(cfg *JudgeConfig) { cfg.History = c.past })
		_, got := ask(j, State{}, step, time.Minute, func(from time.Time) Tick {
			tick := seen(from, 15*time.Second, 4, 0, 0, 0, 0)
			tick.Newest = from.Add(14 * time.Second)
			if c.frozen {
				tick.Newest = start()
			}
			return tick
		})
		if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Reason)
		}
	}
}

// A source whose answer became too large asks fewer pods from then on: those that it does not ask are not silent, neither
// beside an old side, nor where nobody is left on it. By instance the larger side loses more.
func TestPodsThatAreNotAskedAreNotSilent(t *testing.T) {
	for _, c := range []struct {
		name    string
		step    JudgeStep
		before  [2]float64
		sampled int
		after   [2]float64
	}{
		{"a narrower sample beside the old side", JudgeStep{Kind: StepWatch, ByInstance: true}, [2]float64{2400, 600}, 1, [2]float64{300, 300}},
		{"a narrower sample in the fold", JudgeStep{Kind: StepFold, Share: 1}, [2]float64{3000, 0}, 3, [2]float64{75, 0}},
	} {
		for _, sampled := range []int{c.sampled, 0} {
			j := judge(t, func(cfg *JudgeConfig) { cfg.History = pastOf(0.001) })
			c.step.Index, c.step.Min, c.step.Max, c.step.Started = 1, 10*time.Minute, 20*time.Minute, start()
			_, got := ask(j, State{}, c.step, 4*time.Minute, func(from time.Time) Tick {
				n, part := c.before, 0
				if from.Sub(start()) >= 2*time.Minute {
					n, part = c.after, sampled
				}
				tick := seen(from, 15*time.Second, 8, n[0], 0, n[1], 0)
				tick.Sampled = part
				return tick
			})
			if silent := strings.Contains(got.Reason, "silent"); silent != (sampled == 0) {
				t.Errorf("%s, sampled %d: %s: %s", c.name, sampled, got.Verdict, got.Reason)
			}
		}
	}
}
