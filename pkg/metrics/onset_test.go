package metrics

import (
	"strings"
	"testing"
	"time"
)

// outage is a share of the requests that fails from one interval of a step on, in a part of that first one only, since
// scrapes are not at the intervals' ends.
type outage struct {
	share, part float64
	from        int
	// scraped tells that the step's first interval has some of the time before the step.
	scraped bool
}

func (o outage) errors(interval int, requests float64) float64 {
	switch {
	case interval < o.from:
		return requests * 0.001
	case interval == o.from:
		return requests * o.share * o.part
	default:
		return requests * o.share
	}
}

// afterProof judges a step without a holdback for a time, after one interval with a holdback in which a share of all
// failed. The past is known: 0.1 %.
func afterProof(t *testing.T, sick float64, step JudgeStep, o outage, length time.Duration) Judgement {
	t.Helper()
	const tick, n = 15 * time.Second, 3000.0
	j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
	proof := JudgeStep{Index: 5, Kind: StepProof, Share: 0.5, Min: time.Hour, Max: 2 * time.Hour, Started: start()}
	state, got := ask(j, State{}, proof, tick, func(from time.Time) Tick { return seen(from, tick, 4, n/2, n/2*sick, n/2, n/2*sick) })
	step.Started = start().Add(tick)
	for i, now := 0, step.Started; now.Before(step.Started.Add(length)); i++ {
		fresh, stale := n, 0.0
		if o.scraped && i == 0 { // the part of the time before is half under the old policy
			stale = n / 2 * (1 - o.part)
			fresh = n - stale
		}
		drawn := seen(now, tick, 4, fresh, o.errors(i, n), stale, 0)
		now = now.Add(tick)
		state, got = j.Step(state, step, drawn, now)
	}
	return got
}

// Without a holdback only what began with the step is taken back: an outage of everybody begins at any time, and pauses.
// A bake at 100 % is judged like the fold, by request and by instance.
func TestOnlyWhatBeganWithTheStepIsTakenBack(t *testing.T) {
	steps := map[string]JudgeStep{
		"fold":             {Index: 6, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute},
		"bake":             {Index: 6, Kind: StepBake, Share: 1, Min: 2 * time.Minute, Max: 10 * time.Minute},
		"bake by instance": {Index: 6, Kind: StepBake, Share: 1, ByInstance: true, Min: 2 * time.Minute, Max: 10 * time.Minute},
	}
	for _, c := range []struct {
		name   string
		outage outage
		before float64
		after  time.Duration
		want   Verdict
		pause  bool
		reason string
	}{
		{"all fail", outage{1, 1, 0, false}, 0.001, 15 * time.Second, Fail, false, "since the step began"},
		{"all fail, scraped in the middle", outage{1, 0.4, 0, true}, 0.001, 30 * time.Second, Fail, false, "since the step began"},
		{"all fail, from the middle on", outage{1, 0.4, 0, false}, 0.001, 30 * time.Second, Fail, true, "not since the step began"},
		{"30 % fail", outage{0.3, 1, 0, false}, 0.001, 30 * time.Second, Fail, false, "since the step began"},
		{"10 % fail", outage{0.1, 1, 0, false}, 0.001, 30 * time.Second, Fail, false, "since the step began"},
		{"10 % fail, scraped in the middle", outage{0.1, 0.5, 0, true}, 0.001, 45 * time.Second, Fail, false, "since the step began"},
		{"one interval is not believed", outage{0.3, 1, 0, false}, 0.001, 15 * time.Second, Wait, false, "the next interval tells"},
		{"2 % fail", outage{0.02, 1, 0, false}, 0.001, 30 * time.Second, Fail, true, "nobody is left to compare with"},
		{"an outage in the second interval", outage{0.5, 1, 1, false}, 0.001, 30 * time.Second, Fail, true, "not since the step began"},
		{"an outage later", outage{0.5, 1, 2, false}, 0.001, 45 * time.Second, Wait, false, "did not begin with the step"},
		{"an outage later, without end", outage{0.5, 1, 2, false}, 0.001, 630 * time.Second, Fail, true, "it does not end"},
		{"an outage late in the first interval", outage{0.5, 0.2, 0, false}, 0.001, 30 * time.Second, Fail, true, "not since the step began"},
		{"an outage that was there before", outage{1, 1, 0, false}, 0.4, 15 * time.Second, Wait, false, "did not begin with the step"},
		{"nothing", outage{from: 99}, 0.001, 2 * time.Minute, Pass, false, "no sign of harm"},
		{"half as much again as before", outage{0.0015, 1, 0, false}, 0.001, 2 * time.Minute, Pass, false, "no sign of harm"},
	} {
		for name, step := range steps {
			got := afterProof(t, c.before, step, c.outage, c.after)
			if got.Verdict != c.want || got.Pause != c.pause || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s, %s: %s, pause %t: %s", c.name, name, got.Verdict, got.Pause, got.Reason)
			}
		}
	}
}

// An outage that begins when a step without a holdback has been calm is waited for, and forgotten: the step passes.
func TestAnOutageWithoutAHoldbackIsWaitedFor(t *testing.T) {
	j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
	step := JudgeStep{Index: 6, Kind: StepBake, Share: 1, Min: 5 * time.Minute, Max: 10 * time.Minute, Started: start()}
	_, got := ask(j, State{}, step, 5*time.Minute, func(from time.Time) Tick {
		sick := 0.001
		if since := from.Sub(start()); since >= time.Minute && since < 4*time.Minute {
			sick = 0.5
		}
		return seen(from, 15*time.Second, 4, 3000, 3000*sick, 0, 0)
	})
	if got.Verdict != Pass {
		t.Error(got.Verdict, got.Reason)
	}
}

// Where the source ends after an interval that is not believed alone, that is no data and no verdict.
func TestASourceThatEndsLeavesAnOnsetOpen(t *testing.T) {
	j := judge(t, nil)
	step := JudgeStep{Index: 6, Kind: StepFold, Share: 1, Min: 2 * time.Minute, Max: 5 * time.Minute, Started: start()}
	n := 0
	_, got := ask(j, State{}, step, 75*time.Second, func(from time.Time) Tick {
		if n++; n > 1 {
			return Tick{From: from, To: from.Add(15 * time.Second), Fault: "gone"}
		}
		return seen(from, 15*time.Second, 4, 3000, 900, 0, 0)
	})
	if got.Verdict != NoData || got.Pause {
		t.Error(got.Verdict, got.Reason)
	}
}

// A bake waits for the end of an incident of both sides, since the fold could not tell it from harm.
func TestABakeWaitsForTheEndOfAnIncident(t *testing.T) {
	step := JudgeStep{Index: 5, Kind: StepBake, Share: 0.95, Min: time.Minute, Max: 2 * time.Minute, Started: start()}
	for _, c := range []struct {
		lasts, after time.Duration
		want         Verdict
		reason       string
	}{
		{2 * time.Minute, time.Minute, Wait, "shared incident, the old side is as bad"},
		{2 * time.Minute, 135 * time.Second, Pass, "shared incident"},
		{time.Hour, 6 * time.Minute, Inconclusive, "shared incident, the old side is as bad"},
	} {
		j := judge(t, func(c *JudgeConfig) { c.History = pastOf(0.001) })
		_, got := ask(j, State{}, step, c.after, func(from time.Time) Tick {
			sick := 0.001
			if from.Sub(start()) < c.lasts {
				sick = 0.2
			}
			return seen(from, 15*time.Second, 4, 2850, 2850*sick, 150, 150*sick)
		})
		if got.Verdict != c.want || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s of %s: %s: %s", c.after, c.lasts, got.Verdict, got.Reason)
		}
	}
}
