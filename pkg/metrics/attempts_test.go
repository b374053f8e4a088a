package metrics

import (
	"strings"
	"testing"
	"time"
)

// Retries that pile up hold a watch step; a few more are told and hold nothing.
func TestAmplification(t *testing.T) {
	for _, c := range []struct {
		attempts float64 // of the new side, per 300 requests
		want     Verdict
		finding  bool
	}{{300, Pass, false}, {306, Pass, false}, {390, Pass, true}, {480, Wait, true}} {
		j, step := judge(t, nil), ramp()[2]
		step.Started = start()
		state, got := State{}, Judgement{}
		for now := start(); now.Before(start().Add(2 * time.Minute)); {
			tick := seen(now, 15*time.Second, 1, 300, 0, 5700, 0)
			for pod, sides := range tick.Pods {
				n, o := sides[New], sides[Old]
				n.Attempts, o.Attempts = c.attempts, 5700
				tick.Pods[pod] = map[Side]Counts{New: n, Old: o}
			}
			now = now.Add(15 * time.Second)
			state, got = j.Step(state, step, tick, now)
		}
		if got.Verdict != c.want || (len(got.Findings) > 0) != c.finding {
			t.Errorf("%v attempts: %s, %v (%s)", c.attempts, got.Verdict, got.Findings, got.Reason)
		}
		if c.want == Wait && !strings.Contains(got.Reason, "1.60 attempts per request, the old one 1.00") {
			t.Error(got.Reason)
		}
	}
}

// Attempts are counted from the route's total, and are no requests.
func TestAttemptsAreNoRequests(t *testing.T) {
	q := Query{FromZero: true, Rules: []SeriesRule{
		{NameContains: "_rq_total", Side: New, Class: ClassAttempt}, {NameContains: "_rq", Side: New, Class: ClassCode},
	}}
	one := func(name, code string, n float64) Series {
		s := Series{Pod: "shop/a", Labels: map[string]string{nameLabel: name}, Samples: []Sample{{At: start().Add(time.Second), Value: n}}}
		if code != "" {
			s.Labels[CodeLabel] = code
		}
		return s
	}
	_, tick := NewCounters(q).Step([]Series{one("x_rq_total", "", 15), one("x_rq", "200", 9), one("x_rq", "503", 1)}, start(), start().Add(15*time.Second))
	if got := tick.Total(New); got.Requests != 10 || got.Errors != 1 || got.Attempts != 15 || got.attempts() != 1.5 {
		t.Errorf("%+v", got)
	}
}

func TestWatchOf(t *testing.T) {
	for kind, want := range map[string][3]bool{ // code 403 bad, refused by the policy, silence is harm
		"CircuitBreaker": {}, "Timeout": {}, "Retry": {}, "TrafficShift": {}, "RateLimit": {}, "FaultInjection": {},
		"MutualTLS": {false, false, true}, "Authorization": {true, true, true},
	} {
		w, known := WatchOf(kind)
		bad, refused := w.Codes.Judge(map[string]string{CodeLabel: "403"})
		if got := [3]bool{bad, refused, w.Silent}; !known || got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if _, known := WatchOf("Rollout"); known {
		t.Error("a Rollout is judged")
	}
	both := func(a, b string) CodeRules {
		x, _ := WatchOf(a)
		y, _ := WatchOf(b)
		return x.Codes.And(y.Codes)
	}
	if got := both("Timeout", "CircuitBreaker"); strings.Join(got.Refused, " ") != "504 503" || strings.Join(got.RefusedFlags, " ") != "UT UO" || len(got.Bad) != 2 {
		t.Errorf("%+v", got)
	}
}
