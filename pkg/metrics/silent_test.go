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
