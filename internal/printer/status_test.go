package printer_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func now() time.Time { return start().Add(10 * time.Minute) }

// running is a rollout that somebody is at work on.
func running() printer.StatusView {
	s := rollout.State{
		Version: 1, Name: "cart-timeout", Target: cart(), Strategy: "canary", Rev: "1a2b3c", Digest: "sha256:3f2a9c0d1e5b7788aa", Revision: 3,
		Policies: []policy.Key{{Kind: "Timeout", Namespace: "shop", Name: "cart"}},
		Phase:    rollout.Progressing, Exposed: "1 % of requests", Step: 1, Steps: 6, Holding: true, Since: start().Add(9 * time.Minute),
		Touched:  []rollout.Touched{{Ref: route()}},
		Judge:    metrics.State{Step: 1, New: metrics.Counts{Requests: 41}, Old: metrics.Counts{Requests: 4012, Errors: 3}},
		Results:  []rollout.StepResult{{Name: "step 0", Judgement: judgement(metrics.Pass, "both halves alike", 2, 2013, 3, 1999, 120), Confirmed: 6, Barrier: 0.4}},
		Started:  start(),
		Updated:  now().Add(-5 * time.Second),
		Deadline: start().Add(2 * time.Hour),
	}
	return printer.StatusView{StoredState: rollout.StoredState{State: s, Lock: rollout.Lock{Holder: "ci-42@runner", Renewed: now().Add(-5 * time.Second), TTL: 30 * time.Second}}}
}

// orphaned is one that nobody looks after any more.
func orphaned() printer.StatusView {
	v := running()
	v.State.Name, v.State.Target.Name, v.State.Deadline = "käse-größe", "käse", now().Add(-12*time.Minute)
	v.Lock.Renewed = now().Add(-time.Hour)
	return v
}

func ended(p rollout.Phase, cause rollout.Cause, reason string) printer.StatusView {
	v := running()
	v.State.Phase, v.State.Cause, v.State.Reason, v.State.Step, v.State.Judge.Step = p, cause, reason, 5, 5
	v.Lock, v.State.Exposed = rollout.Lock{}, ""
	return v
}

func views() map[string]printer.StatusView {
	paused := running()
	paused.State.Phase, paused.State.Cause, paused.State.Reason = rollout.Paused, rollout.CauseInconclusive, "no verdict after 10 min"
	paused.Lock = rollout.Lock{}
	staged := running()
	staged.State.Judge.Step = 0 // the sums are of the step before
	staged.State.Exposed, staged.Next = "staged, identical halves", "meshpol rollout promote cart-timeout -n shop"
	rollingBack, failedOut := ended(rollout.RollingBack, rollout.CausePerson, "abort by anna"), ended(rollout.Failed, rollout.CauseEdited, "conflict")
	failedIn := ended(rollout.Failed, rollout.CauseInternal, "connection refused")
	failedIn.State.Exposed = "1 % of requests"
	return map[string]printer.StatusView{
		"running":     running(),
		"orphaned":    orphaned(),
		"paused":      paused,
		"staged":      staged,
		"succeeded":   ended(rollout.Succeeded, "", ""),
		"rolledback":  ended(rollout.RolledBack, rollout.CauseBreach, "new fails 100 times as often"),
		"rollingback": rollingBack,
		"failed_out":  failedOut,
		"failed":      failedIn,
	}
}

func TestStatusOfOne(t *testing.T) {
	for name, v := range views() {
		for suffix, f := range map[string]printer.Format{"txt": printer.Text, "yaml": printer.YAML} {
			t.Run(name+" "+suffix, func(t *testing.T) {
				var out bytes.Buffer
				if err := printer.New(&out, f, printer.Options{}).Status(v, now()); err != nil {
					t.Fatal(err)
				}
				golden.Equal(t, "status/"+name+"."+suffix+".golden", out.Bytes())
			})
		}
	}
}

func TestStatusOfMany(t *testing.T) {
	unreadable := printer.StatusView{StoredState: rollout.StoredState{State: rollout.State{Name: "service shop/web", Phase: rollout.Failed, Reason: "decoding a rollout's state: version 99", Target: policy.Target{Namespace: "shop"}}}}
	all := []printer.StatusView{running(), orphaned(), ended(rollout.Succeeded, "", ""), unreadable}
	for name, c := range map[string]struct {
		views  []printer.StatusView
		format printer.Format
		opts   printer.Options
	}{
		"list":        {views: all},
		"list_colour": {views: all, opts: printer.Options{Colour: true}},
		"list_narrow": {views: all, opts: printer.Options{Width: 50}},
		"list_json":   {views: all, format: printer.JSON},
		"list_empty":  {},
		"empty_json":  {format: printer.JSON},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := printer.New(&out, c.format, c.opts).StatusList(c.views, now()); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, "status/"+name+".golden", out.Bytes())
		})
	}
}

func TestFindings(t *testing.T) {
	findings := []printer.FindingView{
		{Code: "MP301", Severity: "error", Policy: "Retry/shop/cart", At: "policies/cart.yaml:12", Field: "spec.attempts", Message: "3 tries of 2s do not fit into the timeout of 5s", Next: "lower perTryTimeout to 1.2s"},
		{Code: "MP305", Severity: "warning", Policy: "Timeout/shop/cart", At: "policies/cart.yaml:3", Message: "nobody calls\nthis service"},
		{Code: "MP601", Severity: "info", Message: "Istio 1.24.3"},
	}
	for name, c := range map[string]struct {
		findings []printer.FindingView
		format   printer.Format
		opts     printer.Options
	}{
		"text":   {findings: findings},
		"colour": {findings: findings, opts: printer.Options{Colour: true}},
		"clean":  {},
		"quiet":  {opts: printer.Options{Quiet: true}},
		"json":   {findings: findings, format: printer.JSON},
		"yaml":   {format: printer.YAML},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := printer.New(&out, c.format, c.opts).Findings(1204, c.findings); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, "findings/"+name+".golden", out.Bytes())
		})
	}
}

func TestProblem(t *testing.T) {
	many := rollout.Proof{Confirmed: 1, Concerned: 8, Took: 30 * time.Second}
	for i := range 7 {
		many.Stragglers = append(many.Stragglers, fmt.Sprintf("shop/web-%d", i))
	}
	rejected := rollout.Proof{Rejected: []rollout.Rejection{{Proxy: "shop/web-0", Message: "bad regex"}, {Proxy: "shop/web-1", Message: "bad\nregex"}}}
	for name, err := range map[string]error{
		"plain":      errors.New("reading policies/cart.yaml: no such file"),
		"locked":     &rollout.LockedError{What: "service shop/cart", Holder: "ci-42", Renewed: now()},
		"stragglers": fmt.Errorf("step 2/6: %w", &rollout.StragglersError{Proof: many}),
		"rejected":   &rollout.RejectedError{Proof: rejected},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			printer.New(&out, printer.Text, printer.Options{}).Problem(err, "meshpol status -n shop", "")
			golden.Equal(t, "problem/"+name+".golden", out.Bytes())
		})
	}
	var out bytes.Buffer
	if printer.New(&out, printer.Text, printer.Options{}).Problem(nil); out.Len() > 0 {
		t.Errorf("no error was printed as %q", out.String())
	}
}

func TestParseFormat(t *testing.T) {
	for text, want := range map[string]printer.Format{"": printer.Text, "text": printer.Text, "yaml": printer.YAML, "json": printer.JSON, "jsonl": printer.JSONLines} {
		if got, err := printer.ParseFormat(text); err != nil || got != want {
			t.Errorf("ParseFormat(%q) = %q, %v", text, got, err)
		}
	}
	if _, err := printer.ParseFormat("xml"); err == nil {
		t.Error("xml was taken")
	}
}
