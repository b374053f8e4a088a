package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// readProxies gives an executor the tripwire, with a reader that may be changed.
func readProxies(change func(fakemesh.Direct) metrics.Provider) func(*rollout.Executor) {
	return func(x *rollout.Executor) {
		d := fakemesh.Direct{Node: x.Meter.(*fakemesh.Node), Takes: 20 * time.Millisecond}
		x.Proxies, x.Tripwire = d, metrics.DefaultTripwireConfig(0)
		if change != nil {
			x.Proxies = change(d)
		}
	}
}

// breaking is a cart whose new timeout fails a share of the requests, with traffic for the tripwire: 30 new requests a
// second at 10 %.
func breaking(t *testing.T, share float64) *bench {
	b := prepare(t, spec{})
	b.world.Traffic = fakemesh.Traffic{RPS: 100, Fails: failing(0.001, share)}
	b.tweak = readProxies(nil)
	return b
}

// began is when a step began.
func began(b *bench, name string) time.Time {
	b.t.Helper()
	for _, e := range fakemesh.Of[rollout.StepStarted](b.sink) {
		if e.Name == name {
			return e.At
		}
	}
	b.t.Fatalf("step %s never began", name)
	return time.Time{}
}

// A person who takes back what the tripwire has paused leaves the harm in the record.
func TestAbortOfAPauseForHarmSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 1)
		b.setting.Tripwire = rollout.TripwirePause
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Paused, rollout.CauseBreach)
		got, err = b.runner("two").resume(rollout.RequestAbort)
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		if !strings.HasPrefix(got.Reason, "aborted by a person; it was paused because: harm found: tripwire: ") {
			t.Error(got.Reason)
		}
		if d := got.State.Decided; d == nil || d.Name != "10 %" || d.Judgement.Verdict != metrics.Fail {
			t.Errorf("decided by %+v", d)
		}
		paused := fakemesh.Of[rollout.PausedEvent](b.sink)
		if len(paused) != 1 || !strings.HasPrefix(paused[0].Next, "meshpol rollout abort") {
			t.Errorf("paused: %+v", paused)
		}
	})
}

func TestTripwireTakesBackWithinSeconds(t *testing.T) {
	for _, share := range []float64{1, 0.9} {
		bubble(t, func(t *testing.T) {
			b := breaking(t, share)
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
			b.asBefore()
			if !strings.HasPrefix(got.Reason, "tripwire: gross breakage: new ") || !strings.Contains(got.Reason, " requests)") {
				t.Error(got.Reason)
			}
			trips, outs := fakemesh.Of[rollout.Tripped](b.sink), fakemesh.Of[rollout.Neutralised](b.sink)
			if len(trips) != 1 || len(outs) != 1 {
				t.Fatalf("%d trips, %d times taken out of force", len(trips), len(outs))
			}
			if trip := trips[0]; trip.Step != "10 %" || trip.Trip.New.Of <= 0 || trip.Trip.New.Bad < 0.8*trip.Trip.New.Of || trip.Trip.Score < 1000 {
				t.Errorf("%+v", trip)
			}
			decided, out := trips[0].At.Sub(began(b, "10 %")), outs[0].At.Sub(trips[0].At)
			t.Logf("%.0f %% failing: decided after %s, out of force %s later", share*100, decided, out)
			if decided > 6*time.Second || out > 1500*time.Millisecond {
				t.Errorf("decided after %s, out of force %s later", decided, out)
			}
			if n := len(fakemesh.Of[rollout.Judged](b.sink)); n != 2 {
				t.Errorf("%d judgements, want those of step 0 alone", n)
			}
		})
	}
}

// byFives is a canary by instance whose first step is large enough for the tripwire.
const byFives = `
strategy:
  canary: {by: instance, steps: [{setWeight: 50, min: 30s, max: 2m}]}
analysis: {step0: {min: 30s, max: 2m, minRequests: 20}, minRequests: 10}
bake: 30s
`

func brokenPool(t *testing.T) *bench {
	var pods []policy.Pod
	for i := range 10 {
		pods = append(pods, fakemesh.Pod("shop", "front", fmt.Sprintf("front-%d", i)))
	}
	b := prepare(t, spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byFives, pods: pods})
	b.world.Traffic = fakemesh.Traffic{RPS: 10, Fails: func(r fakemesh.Route) float64 {
		if newPool(r) {
			return 1
		}
		return 0.001
	}}
	b.tweak = readProxies(nil)
	return b
}

func TestTripwireByInstancePauses(t *testing.T) {
	for _, request := range []string{rollout.RequestAbort, rollout.RequestResume} {
		bubble(t, func(t *testing.T) {
			b := brokenPool(t)
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.Paused, rollout.CauseBreach)
			if !strings.HasPrefix(got.Reason, "harm found: tripwire: ") {
				t.Error(got.Reason)
			}
			if n := len(b.world.PodsWith(b.change.Target.CohortLabel())); n != 5 {
				t.Errorf("%d pods in the cohort, want 5 as before: nothing is taken back", n)
			}
			if took := fakemesh.Of[rollout.Tripped](b.sink)[0].At.Sub(began(b, "50 %")); took > 8*time.Second {
				t.Errorf("decided after %s", took)
			}
			if request == rollout.RequestAbort {
				got, err = b.runner("two").resume(request)
				endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
				b.asBefore()
				return
			}
			// A person has put it right: the score of before does not stand in the way.
			b.world.SetTraffic(func(t *fakemesh.Traffic) { t.Fails = nil })
			b.judge = fakemesh.Judge{Say: func(metrics.JudgeStep, metrics.Tick) metrics.Judgement {
				return metrics.Judgement{Verdict: metrics.Pass}
			}}
			got, err = b.runner("two").resume(request)
			endedAs(t, got, err, rollout.Succeeded, "")
		})
	}
}

// A choice of the Rollout leaves it at a pause, or at the judge alone.
func TestTripwireDoesAsItIsTold(t *testing.T) {
	for word, want := range map[string]rollout.Phase{rollout.TripwirePause: rollout.Paused, rollout.TripwireOff: rollout.RolledBack} {
		bubble(t, func(t *testing.T) {
			b := breaking(t, 1)
			b.setting.Tripwire = word
			got, err := b.runner("one").start()
			endedAs(t, got, err, want, rollout.CauseBreach)
			if tripped := len(fakemesh.Of[rollout.Tripped](b.sink)) > 0; tripped != (word == rollout.TripwirePause) {
				t.Errorf("%s: tripped %t", word, tripped)
			}
		})
	}
}

// reads are when the proxies were read.
func reads(b *bench) []time.Time {
	var out []time.Time
	for _, e := range b.world.Log() {
		if e.Call.Op == "read-proxies" {
			out = append(out, e.At)
		}
	}
	return out
}

// The proxies are read at the steps that it can judge, at most once a second.
func TestTripwireReadsOnlyWhereItCanSayAnything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 0.001)
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		from, to := began(b, "10 %"), began(b, "bake")
		all := reads(b)
		for i, at := range all {
			if at.Before(from) || at.After(to) {
				t.Errorf("read at %s, the watched steps last from %s to %s", at, from, to)
			}
			if i > 0 && at.Sub(all[i-1]) < time.Second && at.Before(began(b, "50 %")) {
				t.Errorf("readings %s apart", at.Sub(all[i-1]))
			}
		}
		if want := int(to.Sub(from).Seconds()); len(all) < want-6 || len(all) > want+2 {
			t.Errorf("%d readings in %d s", len(all), want)
		}
	})
}

// A metrics source that thinks for long is not waited for once the tripwire has tripped.
func TestTripCutsASlowReadingShort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 1)
		b.setting.Tick = 2 * time.Second
		r := b.runner("one")
		r.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
			if c.Op == "read" && len(fakemesh.Of[rollout.StepPassed](b.sink)) > 0 {
				return fakemesh.Fault{Delay: 14 * time.Second}
			}
			return fakemesh.Fault{}
		}
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
		if took := fakemesh.Of[rollout.TakingBack](b.sink)[0].At.Sub(began(b, "10 %")); took > 6*time.Second {
			t.Errorf("decided after %s", took)
		}
	})
}

// What a run has seen is not lost with it, but for some seconds.
func TestTripwireGoesOnAfterARestart(t *testing.T) {
	took := func(t *testing.T, kill time.Duration) (first, second time.Duration) {
		bubble(t, func(t *testing.T) {
			b := breaking(t, 1)
			b.world.Traffic.RPS = 17 // some 5 new requests a second: an observation takes 4 s
			b.setting.Tick = time.Minute
			one := b.runner("one")
			one.node.Fault = func(c fakemesh.Call) fakemesh.Fault {
				steps := fakemesh.Of[rollout.StepStarted](b.sink)
				return fakemesh.Fault{KillBefore: kill > 0 && len(steps) == 2 && time.Since(steps[1].At) > kill}
			}
			if _, err := one.start(); (err == nil) != (kill == 0) {
				t.Fatalf("killed after %s: %v", kill, err)
			}
			if kill == 0 {
				first = fakemesh.Of[rollout.Tripped](b.sink)[0].At.Sub(began(b, "10 %"))
				return
			}
			stored, _, err := b.world.Stored(b.change.Target)
			must(t, err)
			if stored.Trip.A < 20 || stored.TripBase <= 0 || stored.TripBase > 0.01 {
				t.Errorf("stored %+v, base %v", stored.Trip, stored.TripBase)
			}
			two := b.runner("two")
			two.sink = &fakemesh.Recorder{}
			var began time.Time
			b.tweak = readProxies(func(d fakemesh.Direct) metrics.Provider {
				return reader(func(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error) {
					if began.IsZero() {
						began = now
					}
					return d.Read(ctx, q, now, time.Minute)
				})
			})
			got, err := two.resume("")
			endedAs(t, got, err, rollout.RolledBack, rollout.CauseBreach)
			second = fakemesh.Of[rollout.Tripped](two.sink)[0].At.Sub(began)
		})
		return first, second
	}
	whole, _ := took(t, 0)
	_, rest := took(t, 11*time.Second)
	t.Logf("without a restart %s, after one that came at 11 s %s", whole, rest)
	if whole < 11*time.Second || rest > whole-5*time.Second {
		t.Errorf("without a restart %s, after one that came at 11 s %s", whole, rest)
	}
}
