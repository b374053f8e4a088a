//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// harm is one bad policy: what the app does makes it bad, and only those requests that meet it suffer.
type harm struct {
	// rule is how cart behaves, for both sides alike.
	rule app.Rule
	// user, if set, puts the old policy in place.
	user func(*scene)
	// kind and spec are the policy.
	kind, spec string
	// args are meshpol's, after quick's.
	args []string
	// harmed picks the requests that only the policy can have harmed.
	harmed referee.Predicate
	// exit is the exit code; says is in what meshpol says.
	exit int
	says []string
	// within bounds the time from the first harmed request to the last, and most their number. Both are generous: the
	// machine is small and noisy, and the real figures are in docs/benchmarks.md.
	within time.Duration
	most   int
}

// cut is a timeout of 200 ms over an app of which a share takes 400 ms: all of these fail, and nothing else does. A share
// of base fails whatever the policy is.
func cut(base, share float64) harm {
	return harm{
		rule: app.Rule{Path: "/", FailRatio: base, FailCode: 500, SlowRatio: share, SlowDelay: jsonhttp.Duration(400 * time.Millisecond)},
		kind: "Timeout", spec: "  request: 200ms\n", harmed: code(504), exit: 4, says: []string{"breach", "% errors against"},
	}
}

// longer is a request that took longer than the old policy would let any take.
func longer(than time.Duration) referee.Predicate {
	return func(r referee.Record) bool { return r.FromStart() > than }
}

func both(a, b referee.Predicate) referee.Predicate {
	return func(r referee.Record) bool { return a(r) && b(r) }
}

// TestHarm rolls bad policies out and counts at the clients how long and how often they did harm.
func TestHarm(t *testing.T) {
	gross, tenfold, fivefold, slower := cut(0, 0.9), cut(0.005, 0.045), cut(0.005, 0.02), backoff()
	gross.args, gross.within, gross.most = []string{"--steps", "1,10,50"}, 20*time.Second, 200
	tenfold.args, tenfold.within, tenfold.most = []string{"--steps", "10,50"}, 60*time.Second, 200
	fivefold.args, fivefold.within, fivefold.most = []string{"--steps", "10,50"}, 90*time.Second, 300
	// The default times, on the default ramp's second step: JUDGE.md's one scrape and 15 s.
	usual := cut(0, 0.9)
	usual.args, usual.within, usual.most = []string{"--steps", "5,50", "--tick", "15s", "--step0-min", "30s", "--step-min", "1m", "--step-max", "2m", "--bake", "1m", "--fold-watch", "1m"}, 60*time.Second, 900
	each(t, map[string]harm{
		"90 % fail": gross, "90 % fail with ticks of 15 s": usual, "10 times the errors": tenfold, "5 times the errors": fivefold,
		"half as slow again": slower,
	}, func(t *testing.T, h harm) { h.run(t) })
}

// backoff is a Retry that waits longer: every first attempt fails after 20 ms, the old policy repeats it after 12 ms on
// average (Envoy's own 25 ms, of which a random part is waited) and the new one after 37, so that what took 53 ms takes 78.
func backoff() harm {
	return harm{
		user: func(s *scene) {
			s.virtualService("cart", []any{"cart"}, map[string]any{"route": to("cart"), "retries": map[string]any{"attempts": int64(2), "retryOn": "5xx"}})
		},
		rule: app.Rule{Path: "/", Delay: jsonhttp.Duration(20 * time.Millisecond), FailRatio: 1, FailAttempts: 1},
		kind: "Retry", spec: "  attempts: 2\n  perTryTimeout: 5s\n  backoff: 75ms\n  on: [5xx]\n",
		// Latency is compared where step 0 has timed a thousand requests; Envoy tells of its histograms every 5 s.
		args: []string{"--steps", "10,50", "--step0-min", "16s", "--step-min", "8s"}, harmed: both(told(5000), longer(68*time.Millisecond)), exit: 4, says: []string{"breach", " ms against "},
		within: 60 * time.Second, most: 900,
	}
}

func (h harm) run(t *testing.T) {
	t.Helper()
	s := newScene(t, 300, func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{h.rule}))
		if h.user != nil {
			h.user(s)
		}
	})
	args := append(quick("rollout", "--no-tripwire", "-f", s.file(h.kind, "cart-harm", "cart", h.spec)), h.args...)
	r := s.meshpol(h.exit, args...)
	for _, text := range h.says {
		s.says(r, text)
	}
	s.untouched()
	log := s.records()
	v := measure(r, log, h.harmed)
	t.Log(v)
	t.Logf("%s", v.reason)
	v.check(s, h.within, h.most)
	s.phase("cart-harm", "RolledBack")
}

// verdict is a rollback as the clients saw it.
type verdict struct {
	harm referee.Harm
	// step is the one that was taken back; decided and out are the decision and the proof that the policy is out of force.
	step         trial.Step
	decided, out time.Time
	reason       string
}

// measure puts together what meshpol said and what the clients saw. The harm of requests that were sent before the step
// that was taken back counts too: the policy was in force already.
func measure(r *trial.Run, log referee.Log, harmed referee.Predicate) verdict {
	v := verdict{harm: referee.Harmed(log.Records, referee.Interval{}, harmed)}
	for _, step := range r.Steps() {
		v.step = step
	}
	v.reason = v.step.Reason
	for _, e := range r.Events() {
		switch {
		case e.Event == "takingBack" && v.decided.IsZero():
			v.decided = e.At
		case e.Event == "proved" && !v.decided.IsZero() && v.out.IsZero():
			v.out = e.At
		}
	}
	return v
}

// String is the line of the table in docs/benchmarks.md.
func (v verdict) String() string {
	if v.harm.Bad == 0 {
		return fmt.Sprintf("nobody of %d was harmed; %s", v.harm.Total, v.step.Name)
	}
	first := v.harm.First.Start()
	return fmt.Sprintf("harmed %d of %d; first → decision %.1f s, first → last %.1f s, decision → out of force %.2f s; at %s, %.1f s after its beginning",
		v.harm.Bad, v.harm.Total, v.decided.Sub(first).Seconds(), v.harm.Span().Seconds(), v.out.Sub(v.decided).Seconds(),
		v.step.Name, v.decided.Sub(v.step.From).Seconds())
}

// afterwards is how long after the proof a harmed request may have been sent: the clocks are the same, and the proof is.
const afterwards = 100 * time.Millisecond

// check wants some harm, not too much of it, and none once the policy was shown to be out of force.
func (v verdict) check(s *scene, within time.Duration, most int) {
	s.Helper()
	if v.harm.Bad == 0 || v.harm.Bad > most {
		s.Errorf("harmed %d requests, want some and at most %d", v.harm.Bad, most)
		return
	}
	if span := v.harm.Span(); span > within {
		s.Errorf("harm for %.1f s, want at most %s", span.Seconds(), within)
	}
	if last := v.harm.Last.Start(); v.out.IsZero() || last.After(v.out.Add(afterwards)) {
		s.Errorf("the last harmed request was sent at %s, the policy was out of force at %s", last.Format("15:04:05.000"), v.out.Format("15:04:05.000"))
	}
}
