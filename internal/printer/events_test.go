package printer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func start() time.Time { return time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC) }

func cart() policy.Target { return policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"} }

func head(after time.Duration) rollout.Head {
	return rollout.Head{At: start().Add(after), Rollout: "cart-timeout", Target: cart()}
}

func route() rollout.Ref {
	return rollout.Ref{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Namespace: "shop", Name: "cart"}
}

func proof(confirmed, concerned int, took time.Duration) rollout.Proof {
	return rollout.Proof{Confirmed: confirmed, Concerned: concerned, Took: took}
}

func judgement(v metrics.Verdict, reason string, newErrors, newAll, oldErrors, oldAll, elapsed float64) metrics.Judgement {
	return metrics.Judgement{
		Verdict: v, Reason: reason, Elapsed: elapsed,
		New: metrics.Counts{Requests: newAll, Errors: newErrors}, Old: metrics.Counts{Requests: oldAll, Errors: oldErrors},
	}
}

func byRequest(share float64) policy.Exposure {
	return policy.Exposure{Mode: policy.Enforce, By: policy.ByRequest, Share: share}
}

// succeeding is a rollout that goes well.
func succeeding() []rollout.Event {
	bounded := judgement(metrics.Pass, "new 0.1 % errors against 0.1 % (9 of 9,020 against 8 of 8,991 requests), 120 s; below 2 times the old rate, 95 %", 9, 9020, 8, 8991, 120)
	bounded.Score, bounded.Bound = 1.2, 2
	return []rollout.Event{
		rollout.Started{Head: head(0), Digest: "sha256:3f2a9c0d1e5b7788aa", Steps: 6, Notes: []string{"ingress gateway shop/public gets the policy at the fold"}},
		rollout.Rehearsed{Head: head(time.Second), Writes: 9, Took: 800 * time.Millisecond},
		rollout.StepStarted{Head: head(time.Second), Steps: 6, Name: "step 0", Exposure: policy.Exposure{Mode: policy.Staged, By: policy.ByRequest, Share: 0.5}},
		rollout.Wrote{Head: head(time.Second), Object: route(), Op: rollout.Update, Why: "split with identical halves"},
		rollout.Proved{Head: head(2 * time.Second), Proof: proof(6, 6, 400*time.Millisecond), Why: "split with identical halves"},
		rollout.StepPassed{Head: head(2*time.Minute + 2*time.Second), Step: "step 0", Judgement: judgement(metrics.Pass, "both halves alike", 2, 2013, 3, 1999, 120), Requests: 31},
		rollout.StepStarted{Head: head(2*time.Minute + 2*time.Second), Index: 1, Steps: 6, Name: "1 %", Exposure: byRequest(0.01)},
		rollout.Wrote{Head: head(2*time.Minute + 2*time.Second), Object: route(), Op: rollout.Update, Why: "routes of step 1 %"},
		rollout.Proved{Head: head(2*time.Minute + 3*time.Second), Proof: proof(6, 6, 400*time.Millisecond), Why: "routes of step 1 %"},
		rollout.Judged{Head: head(2*time.Minute + 18*time.Second), Step: "1 %", Judgement: judgement(metrics.Wait, "waiting: 11 of 20 requests", 0, 11, 1, 1004, 15)},
		rollout.Judged{Head: head(3*time.Minute + 3*time.Second), Step: "1 %", Judgement: judgement(metrics.Wait, "40 s of 60 s", 0, 39, 3, 3650, 55)},
		rollout.Judged{Head: head(3*time.Minute + 5*time.Second), Step: "1 %", Judgement: judgement(metrics.NoData, "no data: the newest sample is 2 min old", 0, 41, 3, 3990, 57)},
		rollout.Judged{Head: head(3*time.Minute + 6*time.Second), Step: "1 %", Judgement: judgement(metrics.NoData, "no data: the newest sample is 2 min old", 0, 41, 3, 3990, 58)},
		rollout.Judged{Head: head(3*time.Minute + 8*time.Second), Step: "1 %", Judgement: judgement(metrics.Pass, "", 0, 41, 3, 4012, 60)},
		rollout.StepPassed{Head: head(3*time.Minute + 8*time.Second), Step: "1 %", Judgement: judgement(metrics.Pass, "", 0, 41, 3, 4012, 60)},
		rollout.StepPassed{Head: head(7 * time.Minute), Step: "50 %", Judgement: bounded},
		rollout.StepStarted{Head: head(8 * time.Minute), Index: 4, Steps: 6, Name: "bake", Exposure: byRequest(0.95), Asked: "asked 95 %, 5 % held back"},
		rollout.Warned{Head: head(9 * time.Minute), Text: "metrics are 40 s old"},
		rollout.StepStarted{Head: head(14 * time.Minute), Index: 5, Steps: 6, Name: "fold", Exposure: policy.Exposure{Mode: policy.Enforce, By: policy.All}},
		rollout.StepPassed{Head: head(15 * time.Minute), Step: "clean-up", Judgement: metrics.Judgement{Reason: "cleaned up"}},
		rollout.Ended{Head: head(15 * time.Minute), Phase: rollout.Succeeded, Reason: "every step passed", Took: 15 * time.Minute, Requests: map[string]int{"get leases": 2, "update leases": 40}},
	}
}

// failing is a rollout that is taken back.
func failing() []rollout.Event {
	bad := judgement(metrics.Fail, "new fails 100 times as often", 9, 29, 3, 4012, 27)
	bad.New.Refused = 4
	missing := proof(5, 6, time.Second)
	missing.Stragglers, missing.Unconcerned = []string{"shop/web-1"}, 2
	return []rollout.Event{
		rollout.Started{Head: head(0), Digest: "sha256:3f2a9c0d1e5b7788aa", Steps: 6, Resumed: true},
		rollout.StepStarted{Head: head(time.Second), Index: 1, Steps: 6, Name: "1 pod", Exposure: policy.Exposure{Mode: policy.Enforce, By: policy.ByInstance, Share: 0.01}, Reach: "1 pod (33.3 %)", Asked: "asked 1 % of 3 client pods"},
		rollout.Labelled{Head: head(time.Second), Pods: []string{"shop/web-1", "shop/web-2"}, Added: true},
		rollout.Proved{Head: head(2 * time.Second), Proof: missing, Why: "cohort of step 1 pod"},
		rollout.Judged{Head: head(29 * time.Second), Step: "1 pod", Judgement: bad},
		rollout.Tripped{Head: head(29 * time.Second), Step: "1 pod", Trip: metrics.Trip{Tripped: true, Score: 1880.4, Reason: "gross breakage: new 100.0 % errors",
			New: metrics.BadOf{Bad: 12, Of: 12}, Old: metrics.BadOf{Of: 1230}}},
		rollout.TakingBack{Head: head(29 * time.Second), Cause: rollout.CauseBreach, Reason: "new fails 100 times as often"},
		rollout.Neutralised{Head: head(30 * time.Second), Proof: proof(6, 6, 400*time.Millisecond), Took: 1100 * time.Millisecond},
		rollout.Labelled{Head: head(30 * time.Second), Pods: []string{"shop/web-1"}},
		rollout.Kept{Head: head(31 * time.Second), Object: route(), Conflicts: []string{"spec.http[0].timeout: before 1s, ours 250ms, now 5s"}},
		rollout.Ended{Head: head(31 * time.Second), Phase: rollout.RolledBack, Cause: rollout.CauseBreach, Reason: "new fails 100 times as often", Took: 31 * time.Second, Next: "meshpol status cart-timeout -n shop"},
	}
}

// stopping holds the endings that need a person.
func stopping() []rollout.Event {
	refused := proof(1, 6, 200*time.Millisecond)
	refused.Rejected = []rollout.Rejection{{Proxy: "shop/web-1", Message: "route: bad\n\x1b[31mregex"}}
	return []rollout.Event{
		rollout.PausedEvent{Head: head(0), Reason: "paused by a person", Exposed: "nothing"},
		rollout.Resumed{Head: head(0), Reason: "resumed by a person"},
		rollout.StepStarted{Head: head(0), Index: 1, Steps: 6, Name: "1 %", Exposure: byRequest(0.01)},
		rollout.PausedEvent{Head: head(time.Second), Reason: "no verdict after 10 min", Exposed: "1 % of requests", Next: "meshpol rollout promote cart-timeout -n shop"},
		rollout.TakingBack{Head: head(2 * time.Second), Cause: rollout.CausePerson, Reason: "abort by anna"},
		rollout.Neutralised{Head: head(40 * time.Second), Proof: refused, Took: 38 * time.Second},
		rollout.Ended{Head: head(41 * time.Second), Phase: rollout.Failed, Cause: rollout.CauseInternal, Reason: "writing VirtualService shop/cart: connection refused", Took: 41 * time.Second},
	}
}

// pausing ends at a pause, which is told once.
func pausing() []rollout.Event {
	return []rollout.Event{
		rollout.StepStarted{Head: head(0), Index: 1, Steps: 6, Name: "1 %", Exposure: byRequest(0.01)},
		rollout.PausedEvent{Head: head(time.Second), Reason: "interrupted by a signal", Exposed: "1 % of requests", Next: "meshpol rollout resume cart-timeout -n shop"},
		rollout.Ended{Head: head(time.Second), Phase: rollout.Paused, Cause: rollout.CausePerson, Reason: "interrupted by a signal", Took: time.Minute},
	}
}

// unproving takes a finished rollout back, which nobody proves.
func unproving() []rollout.Event {
	return []rollout.Event{
		rollout.Started{Head: head(0), Digest: "sha256:00", Steps: 6, Resumed: true},
		rollout.TakingBack{Head: head(0), Cause: rollout.CausePerson, Reason: "taken back by a person"},
		rollout.Neutralised{Head: head(time.Second), Took: time.Second},
		rollout.Ended{Head: head(time.Second), Phase: rollout.RolledBack, Cause: rollout.CausePerson, Reason: "taken back by a person", Took: time.Minute},
	}
}

func emitted(events []rollout.Event, f printer.Format, o printer.Options) []byte {
	var out bytes.Buffer
	sink := printer.New(&out, f, o).Events()
	for _, e := range events {
		sink.Emit(e)
	}
	return out.Bytes()
}

func TestEventLines(t *testing.T) {
	for name, c := range map[string]struct {
		events []rollout.Event
		opts   printer.Options
	}{
		"succeeding":       {succeeding(), printer.Options{}},
		"succeeding_quiet": {succeeding(), printer.Options{Quiet: true}},
		"succeeding_live":  {succeeding(), printer.Options{Live: true, Colour: true, Width: 60}},
		"failing":          {failing(), printer.Options{}},
		"failing_quiet":    {failing(), printer.Options{Quiet: true}},
		"failing_colour":   {failing(), printer.Options{Colour: true}},
		"failing_several":  {failing(), printer.Options{Several: true}},
		"stopping":         {stopping(), printer.Options{}},
		"pausing":          {pausing(), printer.Options{}},
		"unproving":        {unproving(), printer.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			golden.Equal(t, "events/"+name+".golden", emitted(c.events, printer.Text, c.opts))
		})
	}
}

func TestALineOfAStepReadsAsPromised(t *testing.T) {
	got := string(emitted(succeeding(), printer.Text, printer.Options{}))
	want := "step 2/6  1 % of requests · 6/6 proxies in 0.4 s · new 0.0 % errors (0 of 41) against 0.1 % (3 of 4,012), 60 s · Pass\n"
	if !strings.Contains(got, want) {
		t.Errorf("no line %q in:\n%s", want, got)
	}
}

// TestEveryLineStandsAlone holds the promise of the package comment: time and label on each line, no control characters.
func TestEveryLineStandsAlone(t *testing.T) {
	for _, events := range [][]rollout.Event{succeeding(), failing(), stopping()} {
		for line := range strings.Lines(string(emitted(events, printer.Text, printer.Options{}))) {
			if len(line) < 20 || line[7:9] != "  " || line[9] == ' ' || strings.ContainsAny(line, "\x1b\r\t") {
				t.Errorf("a line without time and label, or with control characters: %q", line)
			}
		}
	}
}

func TestTwoRolloutsDoNotMix(t *testing.T) {
	other := head(5 * time.Minute)
	other.Target.Name, other.Rollout = "users", "users-retry"
	got := string(emitted([]rollout.Event{
		rollout.Started{Head: head(0), Steps: 2},
		rollout.Started{Head: other, Steps: 9},
		rollout.StepStarted{Head: other, Index: 3, Steps: 9, Name: "5 %", Exposure: byRequest(0.05)},
		rollout.StepStarted{Head: head(6 * time.Minute), Index: 0, Steps: 2, Name: "1 %", Exposure: byRequest(0.01)},
	}, printer.Text, printer.Options{Several: true}))
	for _, want := range []string{
		"   0:00  step 4/9  service shop/users  begins: 5 % of requests\n",
		"   6:00  step 1/2  service shop/cart  begins: 1 % of requests\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in:\n%s", want, got)
		}
	}
}

func TestEventSchema(t *testing.T) {
	var all []rollout.Event
	all = append(append(append(all, succeeding()...), failing()...), stopping()...)
	golden.Equal(t, "events/all.jsonl.golden", emitted(all, printer.JSONLines, printer.Options{}))
	golden.Equal(t, "events/schema.golden", []byte(schemaOf(t, emitted(all, printer.JSONLines, printer.Options{}))))
}

// schemaOf lists the field paths that each kind of event was seen to have.
func schemaOf(t *testing.T, jsonl []byte) string {
	t.Helper()
	fields := map[string]map[string]bool{}
	for line := range bytes.Lines(jsonl) {
		var doc map[string]any
		if err := json.Unmarshal(line, &doc); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name, _ := doc["event"].(string)
		if fields[name] == nil {
			fields[name] = map[string]bool{}
		}
		collect(fields[name], "", doc)
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(slices.Sorted(maps.Keys(fields[name])), " "))
	}
	return out.String()
}

func collect(into map[string]bool, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			collect(into, strings.TrimPrefix(path+"."+k, "."), inner)
		}
	case []any:
		for _, inner := range v {
			collect(into, path+"[]", inner)
		}
	default:
		into[path] = true
	}
}

// TestEveryEventIsRendered reads the sealed interface's cases from the source, so that a new event cannot be forgotten.
func TestEveryEventIsRendered(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/rollout/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "event" && f.Recv != nil {
			declared = append(declared, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	var seen []string
	for _, e := range append(append(succeeding(), failing()...), stopping()...) {
		seen = append(seen, strings.TrimPrefix(fmt.Sprintf("%T", e), "rollout."))
		text := emitted([]rollout.Event{e}, printer.Text, printer.Options{Live: true})
		line := emitted([]rollout.Event{e}, printer.JSONLines, printer.Options{})
		if len(text) == 0 && !strings.HasSuffix(fmt.Sprintf("%T", e), "Judged") {
			t.Errorf("%T has no text", e)
		}
		if !bytes.HasPrefix(line, []byte(`{"event":"`)) || bytes.HasPrefix(line, []byte(`{"event":""`)) || bytes.Contains(line, []byte(`"rollout":""`)) {
			t.Errorf("%T has no JSON line: %s", e, line)
		}
	}
	for _, name := range declared {
		if !slices.Contains(seen, name) {
			t.Errorf("event %s is not among the events of these tests", name)
		}
	}
}

// TestWayBackThatWasNotProved: after the fold nothing of the rollout can be looked for on the proxies, and nothing is
// claimed of them.
func TestWayBackThatWasNotProved(t *testing.T) {
	got := string(emitted([]rollout.Event{rollout.Neutralised{Head: head(0), Took: 100 * time.Millisecond}}, printer.Text, printer.Options{}))
	if strings.Contains(got, "concerned") || !strings.Contains(got, "as soon as the control plane has pushed it; that was not proved") {
		t.Errorf("%s", got)
	}
}
