package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

var errPrometheus = errors.New("prometheus: connection refused")

// failFrom fails every call of an operation from the n-th on, until the given number of them have failed.
func failFrom(op string, n, times int) func(fakemesh.Call) fakemesh.Fault {
	seen := 0
	return func(c fakemesh.Call) fakemesh.Fault {
		if c.Op != op {
			return fakemesh.Fault{}
		}
		if seen++; seen < n || seen >= n+times {
			return fakemesh.Fault{}
		}
		return fakemesh.Fault{Before: errPrometheus}
	}
}

const forever = 1 << 30

func TestWithoutDataNothingIsPassed(t *testing.T) {
	cases := map[string]struct {
		setUp  func(b *bench, r *runner)
		reason string
		after  time.Duration
	}{
		"no traffic at all": {
			setUp:  func(b *bench, _ *runner) { b.world.Traffic.RPS = 0 },
			reason: "no request of the new side", after: 2 * time.Minute,
		},
		"Prometheus never answers": {
			setUp:  func(_ *bench, r *runner) { r.node.Fault = failFrom("read", 1, forever) },
			reason: "connection refused", after: 2 * time.Minute,
		},
		"Prometheus dies in the middle": {
			setUp:  func(_ *bench, r *runner) { r.node.Fault = failFrom("read", 4, forever) },
			reason: "connection refused", after: 3 * time.Minute,
		},
		"Prometheus hangs": {
			setUp: func(_ *bench, r *runner) {
				r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
					if c.Op == "read" {
						return fakemesh.Fault{Delay: time.Hour}
					}
					return fakemesh.Fault{}
				}
			},
			reason: "deadline exceeded", after: 2 * time.Minute,
		},
		"there is no source": {
			setUp:  func(b *bench, _ *runner) { b.tweak = func(x *rollout.Executor) { x.Meter = nil } },
			reason: "no metrics source", after: 2 * time.Minute,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				r := b.runner("one")
				c.setUp(b, r)
				began := time.Now()
				got, err := r.start()
				endedAs(t, got, err, rollout.RolledBack, rollout.CauseInconclusive)
				if !strings.Contains(got.Reason, c.reason) {
					t.Errorf("reason %q, want %q in it", got.Reason, c.reason)
				}
				if took := time.Since(began); took < c.after || took > c.after+2*time.Minute {
					t.Errorf("took %s, want about %s", took, c.after)
				}
				b.asBefore()
			})
		})
	}
}

func TestShortOutageOfTheSourceIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{rollout: strings.ReplaceAll(shortSteps, "max: 2m", "max: 10m")})
		r := b.runner("one")
		// It fails when a step has been going on for longer than the patience with a source: what counts is how long
		// there was no data, not how long the step has lasted.
		b.judge = fakemesh.Judge{Say: func(step metrics.JudgeStep, tick metrics.Tick) metrics.Judgement {
			if step.Index == 1 && tick.To.Sub(step.Started) < 7*time.Minute {
				return metrics.Judgement{Verdict: verdictOf(tick)}
			}
			return metrics.Judgement{}
		}}
		r.node.Fault = failFrom("read", 25, 8)
		got, err := r.start()
		endedAs(t, got, err, rollout.Succeeded, "")
	})
}

func verdictOf(tick metrics.Tick) metrics.Verdict {
	if tick.Fault != "" {
		return metrics.Error
	}
	return metrics.Wait
}

func TestWhatFollowsWhereNothingIsClear(t *testing.T) {
	inconclusive := func(index int) metrics.Judge {
		return fakemesh.Judge{Say: func(step metrics.JudgeStep, _ metrics.Tick) metrics.Judgement {
			if step.Index == index {
				return metrics.Judgement{Verdict: metrics.Inconclusive, Reason: "nobody knows"}
			}
			return metrics.Judgement{}
		}}
	}
	cases := map[string]struct {
		choice   string
		attended bool
		step     int
		phase    rollout.Phase
		cause    rollout.Cause
	}{
		"wait, nobody there":           {choice: "wait", step: 1, phase: rollout.RolledBack, cause: rollout.CauseInconclusive},
		"wait, somebody there":         {choice: "wait", step: 1, attended: true, phase: rollout.Paused, cause: rollout.CauseInconclusive},
		"rollback, somebody there":     {choice: "rollback", step: 1, attended: true, phase: rollout.RolledBack, cause: rollout.CauseInconclusive},
		"pause, nobody there":          {choice: "pause", step: 1, phase: rollout.Paused, cause: rollout.CauseInconclusive},
		"promote":                      {choice: "promote", step: 1, phase: rollout.Succeeded},
		"promote does not pass step 0": {choice: "promote", step: 0, phase: rollout.RolledBack, cause: rollout.CauseInconclusive},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				b.setting.OnInconclusive = c.choice
				b.judge = inconclusive(c.step)
				r := b.runner("one")
				b.tweak = func(x *rollout.Executor) { x.Attended = c.attended }
				if c.attended && c.phase == rollout.Paused {
					go func() {
						time.Sleep(10 * time.Minute)
						close(r.interrupt)
					}()
					b.tweak = func(x *rollout.Executor) { x.Attended, x.OnSignal = true, rollout.OnSignalPause }
				}
				got, err := r.start()
				endedAs(t, got, err, c.phase, c.cause)
				switch c.phase {
				case rollout.RolledBack:
					b.asBefore()
				case rollout.Succeeded:
					if res := got.State.Results[1].Judgement; res.Reason != "inconclusive: nobody knows" || res.Verdict != metrics.Inconclusive {
						t.Errorf("the result does not say why it went on: %+v", res)
					}
				}
			})
		})
	}
}

func TestOnFailurePause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.setting.OnFailure = "pause"
		b.judge = failAt(2)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Paused, rollout.CauseBreach)
		if told := fakemesh.Of[rollout.PausedEvent](b.sink); len(told) != 1 || told[0].Exposed != "50 % of requests" {
			t.Errorf("told: %+v", told)
		}
		// A person who resumes is told again, one who promotes goes on, one who aborts takes back.
		got, err = b.runner("two").resume(rollout.RequestResume)
		endedAs(t, got, err, rollout.Paused, rollout.CauseBreach)
		got, err = b.runner("three").resume(rollout.RequestAbort)
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		b.asBefore()
	})
}
