package rollout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// callsOf is how many port calls a whole rollout makes.
func callsOf(t *testing.T, s spec, set func(*bench)) int {
	var n int
	bubble(t, func(t *testing.T) {
		b := prepare(t, s)
		if set != nil {
			set(b)
		}
		r := b.runner("one")
		got, err := r.start()
		endedAs(t, got, err, rollout.Succeeded, "")
		n = r.node.Calls()
	})
	return n
}

// at lets something happen just before the n-th call.
func at(n int, act func()) func(fakemesh.Call) fakemesh.Fault {
	return func(c fakemesh.Call) fakemesh.Fault {
		if c.N == n {
			return fakemesh.Fault{Meanwhile: act}
		}
		return fakemesh.Fault{}
	}
}

func TestSignalAtEveryCall(t *testing.T) {
	same := spec{shares: &fakemesh.Shares{}}
	total := callsOf(t, same, nil)
	for _, onSignal := range []string{"rollback", rollout.OnSignalPause} {
		ended := map[rollout.Phase]int{}
		for n := 1; n <= total; n++ {
			bubble(t, func(t *testing.T) {
				b := prepare(t, same)
				b.tweak = func(x *rollout.Executor) { x.OnSignal = onSignal }
				r := b.runner("one")
				r.node.Fault = at(n, func() { close(r.interrupt) })
				got, err := r.start()
				must(t, err)
				ended[got.Phase]++
				switch got.Phase {
				case rollout.RolledBack:
					b.asBefore()
				case rollout.Paused:
					got, err = b.runner("two").resume(rollout.RequestResume)
					endedAs(t, got, err, rollout.Succeeded, "")
					fallthrough
				case rollout.Succeeded:
					b.specIs(vsRef(), cartFolded)
					b.clean()
				}
				if t.Failed() {
					t.Logf("signal (%s) at call %d of %d", onSignal, n, total)
					b.trace()
				}
			})
		}
		want := map[string]rollout.Phase{"rollback": rollout.RolledBack, rollout.OnSignalPause: rollout.Paused}[onSignal]
		if ended[want] < total-15 || len(ended) > 2 {
			t.Errorf("on a signal: %s, ended as %v", onSignal, ended)
		}
	}
}

func TestSignalIsSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		r := b.runner("one")
		go func() {
			time.Sleep(50 * time.Second)
			close(r.interrupt)
		}()
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		if took := fakemesh.Of[rollout.Neutralised](b.sink)[0].At.Sub(got.State.Started); took > 51*time.Second {
			t.Errorf("neutralised after %s", took)
		}
	})
}

func TestRequests(t *testing.T) {
	cases := map[string]struct {
		rollout  string
		attended bool
		// asks are requests with the time since the start.
		asks  map[time.Duration]string
		phase rollout.Phase
		cause rollout.Cause
		// within bounds the whole time.
		least, most time.Duration
	}{
		"abort":                      {asks: map[time.Duration]string{50 * time.Second: rollout.RequestAbort}, phase: rollout.RolledBack, cause: rollout.CausePerson, most: 60 * time.Second},
		"pause, nobody there":        {asks: map[time.Duration]string{50 * time.Second: rollout.RequestPause}, phase: rollout.Paused, cause: rollout.CausePerson, most: 60 * time.Second},
		"pause and resume":           {attended: true, asks: map[time.Duration]string{50 * time.Second: rollout.RequestPause, 20 * time.Minute: rollout.RequestResume}, phase: rollout.Succeeded, least: 21 * time.Minute, most: 23 * time.Minute},
		"pause and promote":          {attended: true, asks: map[time.Duration]string{50 * time.Second: rollout.RequestPause, 20 * time.Minute: rollout.RequestPromote}, phase: rollout.Succeeded, least: 20 * time.Minute, most: 22 * time.Minute},
		"pause and abort":            {attended: true, asks: map[time.Duration]string{50 * time.Second: rollout.RequestPause, 20 * time.Minute: rollout.RequestAbort}, phase: rollout.RolledBack, cause: rollout.CausePerson, least: 20 * time.Minute, most: 21 * time.Minute},
		"promote":                    {asks: map[time.Duration]string{40 * time.Second: rollout.RequestPromote}, phase: rollout.Succeeded, least: 2 * time.Minute, most: 150 * time.Second},
		"resume means nothing":       {asks: map[time.Duration]string{40 * time.Second: rollout.RequestResume}, phase: rollout.Succeeded, least: 150 * time.Second, most: 160 * time.Second},
		"pause before every step":    {rollout: strings.Replace(shortSteps, "{setWeight: 10,", "{pause: {}}, {setWeight: 10,", 1), phase: rollout.Paused, most: time.Minute},
		"pause for a time":           {rollout: strings.Replace(shortSteps, "{setWeight: 10,", "{pause: {duration: 10m}}, {setWeight: 10,", 1), phase: rollout.Succeeded, least: 12 * time.Minute, most: 13 * time.Minute},
		"pause, answered":            {rollout: strings.Replace(shortSteps, "{setWeight: 10,", "{pause: {}}, {setWeight: 10,", 1), attended: true, asks: map[time.Duration]string{5 * time.Minute: rollout.RequestPromote}, phase: rollout.Succeeded, least: 7 * time.Minute, most: 8 * time.Minute},
		"pause, never answered":      {rollout: strings.Replace(shortSteps, "{setWeight: 10,", "{pause: {}}, {setWeight: 10,", 1), attended: true, phase: rollout.RolledBack, cause: rollout.CauseTimeout, least: 4 * time.Hour, most: 241 * time.Minute},
		"pause for a time, ended":    {rollout: strings.Replace(shortSteps, "{setWeight: 10,", "{pause: {duration: 10m}}, {setWeight: 10,", 1), asks: map[time.Duration]string{2 * time.Minute: rollout.RequestResume}, phase: rollout.Succeeded, least: 4 * time.Minute, most: 5 * time.Minute},
		"something nobody ever says": {asks: map[time.Duration]string{40 * time.Second: "dance"}, phase: rollout.Succeeded, least: 150 * time.Second, most: 160 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{rollout: c.rollout})
				b.tweak = func(x *rollout.Executor) { x.Attended = c.attended }
				for after, ask := range c.asks {
					go func() {
						time.Sleep(after)
						b.world.Ask(b.change.Target, ask)
					}()
				}
				began := time.Now()
				got, err := b.runner("one").start()
				endedAs(t, got, err, c.phase, c.cause)
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("took %s, want %s to %s", took, c.least, c.most)
				}
				if c.phase == rollout.RolledBack {
					b.asBefore()
				}
				if s, _, _ := b.world.Stored(b.change.Target); s.Request != "" {
					t.Errorf("the request %q is still on the lease", s.Request)
				}
				b.trace()
			})
		})
	}
}

func TestPauseKeepsTheScore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{rollout: strings.ReplaceAll(shortSteps, "min: 30s, max: 2m", "min: 2m, max: 5m")})
		b.tweak = func(x *rollout.Executor) { x.Attended = true }
		var elapsed []float64
		var requests []float64
		inner := fakemesh.Judge{}
		b.judge = judgeFunc(func(s metrics.State, step metrics.JudgeStep, tick metrics.Tick, now time.Time) (metrics.State, metrics.Judgement) {
			next, j := inner.Step(s, step, tick, now)
			if step.Index == 1 {
				elapsed, requests = append(elapsed, j.Elapsed), append(requests, j.New.Requests)
			}
			return next, j
		})
		go func() {
			time.Sleep(100 * time.Second)
			b.world.Ask(b.change.Target, rollout.RequestPause)
			time.Sleep(time.Hour)
			b.world.Ask(b.change.Target, rollout.RequestResume)
		}()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		last := len(elapsed) - 1
		if elapsed[last] < 120 || elapsed[last] > 150 {
			t.Errorf("the step counted %v s: the hour of the pause is none of it", elapsed)
		}
		for i := 1; i < len(requests); i++ {
			if requests[i] < requests[i-1] {
				t.Errorf("the sums fell: %v", requests)
			}
			// 10 % of 3 pods at 50 requests/s for at most 20 s.
			if requests[i]-requests[i-1] > 400 {
				t.Errorf("what flowed during the pause was judged: %v", requests)
			}
		}
	})
}

type judgeFunc func(metrics.State, metrics.JudgeStep, metrics.Tick, time.Time) (metrics.State, metrics.Judgement)

func (f judgeFunc) Step(s metrics.State, step metrics.JudgeStep, tick metrics.Tick, now time.Time) (metrics.State, metrics.Judgement) {
	return f(s, step, tick, now)
}

func TestDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.setting.Deadline = 100 * time.Second
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseTimeout)
		if !strings.Contains(got.Reason, "deadline") {
			t.Errorf("reason: %s", got.Reason)
		}
		b.asBefore()
	})
}

func TestSecondSignalOnTheWayBackIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.judge = failAt(2)
		r := b.runner("one")
		b.world.Lag = 5 * time.Second
		closed := false
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if !closed && len(fakemesh.Of[rollout.TakingBack](b.sink)) > 0 && c.Op == "prove" {
				closed = true
				close(r.interrupt)
				b.world.Ask(b.change.Target, rollout.RequestPause)
			}
			return fakemesh.Fault{}
		}
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		if !closed {
			t.Error("there was no proof on the way back")
		}
		b.asBefore()
	})
}

func TestPausedSaysWhatIsInForce(t *testing.T) {
	for after, want := range map[time.Duration]string{
		10 * time.Second: "staged, identical halves", 40 * time.Second: "10 % of requests", 100 * time.Second: "95 % of requests", 130 * time.Second: "all traffic",
	} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, spec{})
				b.tweak = func(x *rollout.Executor) { x.OnSignal = rollout.OnSignalPause }
				r := b.runner("one")
				go func() {
					time.Sleep(after)
					close(r.interrupt)
				}()
				got, err := r.start()
				endedAs(t, got, err, rollout.Paused, rollout.CausePerson)
				told := fakemesh.Of[rollout.PausedEvent](b.sink)
				if len(told) != 1 || told[0].Exposed != want || !strings.Contains(told[0].Next, "resume cart-timeout") {
					t.Errorf("told %+v, want %q", told, want)
				}
				if got.State.Exposed != want {
					t.Errorf("the state says %q, want %q", got.State.Exposed, want)
				}
				begun := len(fakemesh.Of[rollout.StepStarted](b.sink))
				b.tweak = nil
				got, err = b.runner("two").resume(rollout.RequestResume)
				endedAs(t, got, err, rollout.Succeeded, "")
				if again := fakemesh.Of[rollout.StepStarted](b.sink)[begun]; !again.Again || again.Exposure.String() != want {
					t.Errorf("went on in %q, again %t", again.Exposure, again.Again)
				}
			})
		})
	}
}

// What is in force at a pause before a step is what the step before it brought, not what comes next; on the way back it
// is what was in force last, until it is out.
func TestStateSaysWhatIsInForce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{rollout: strings.ReplaceAll(shortSteps, "{setWeight: 50", "{pause: {}}, {setWeight: 50")})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Paused, "")
		if got.State.Exposed != "10 % of requests" {
			t.Errorf("at the pause before 50 %%: %q", got.State.Exposed)
		}
		two, other := b.runner("two"), b.runner("other")
		var seen []string
		two.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if c.Op == "prove" {
				s, _, err := other.node.Peek(t.Context(), b.change.Target)
				must(t, err)
				seen = append(seen, string(s.Phase)+": "+s.Exposed)
			}
			return fakemesh.Fault{}
		}
		got, err = two.takeBack()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		if want := []string{"RollingBack: 10 % of requests", "RollingBack: "}; !slices.Equal(seen, want) || got.State.Exposed != "" {
			t.Errorf("on the way back %q, at its end %q; want %q and nothing", seen, got.State.Exposed, want)
		}
	})
}

// A person who goes on after the judge's word has looked: the judge is told, and begins anew. After a pause of a person's
// own it is not, and the score stands.
func TestAResumeTellsTheJudge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		b.tweak = func(x *rollout.Executor) { x.Attended = true }
		inner, resumes := fakemesh.Judge{}, []int{}
		b.judge = judgeFunc(func(s metrics.State, step metrics.JudgeStep, tick metrics.Tick, now time.Time) (metrics.State, metrics.Judgement) {
			next, j := inner.Step(s, step, tick, now)
			if resumes = append(resumes, step.Resumes); step.Index == 2 && step.Resumes == 0 {
				j.Verdict, j.Pause, j.Reason = metrics.Fail, true, "nobody is left to compare with"
			}
			return next, j
		})
		go func() {
			time.Sleep(20 * time.Second)
			b.world.Ask(b.change.Target, rollout.RequestPause)
			for range 2 {
				time.Sleep(time.Hour / 2)
				b.world.Ask(b.change.Target, rollout.RequestResume)
			}
		}()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if paused := len(fakemesh.Of[rollout.PausedEvent](b.sink)); paused != 2 || got.State.Resumes != 1 {
			t.Errorf("%d pauses, %d resumes after the judge's word", paused, got.State.Resumes)
		}
		if resumes[0] != 0 || resumes[len(resumes)-1] != 1 {
			t.Errorf("what the judge was told: %v", resumes)
		}
	})
}
