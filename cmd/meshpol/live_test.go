package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// brief are the flags of a rollout that ends within a second or two; nothing can be judged in it.
func brief(args ...string) []string {
	return append(args, "--no-analysis", "--step0-min", "20ms", "--step-min", "20ms", "--bake", "20ms", "--fold-watch", "20ms", "--tick", "1s", "--steps", "50")
}

func TestRolloutToItsEndAndBack(t *testing.T) {
	w := newWorld(t)
	file := w.timeout("cart-timeout", "cart", "2s")
	w.meshpol(exitChanges, "plan", "-f", file, "--exit-code").says(t, "8 writes to 1 object", "digest sha256:")
	r := w.meshpol(exitOK, brief("rollout", "-f", file, "-o", "json")...).says(t, "Succeeded after")
	if got := r.outcomes(t); !slices.Equal(got, []string{"cart-timeout succeeded"}) {
		t.Errorf("outcomes %v", got)
	}
	if strings.Contains(r.err.String(), "{") {
		t.Errorf("events are no text: %s", r.err)
	}
	w.meshpol(exitOK, "status").says(t, "cart-timeout", "Succeeded")
	w.meshpol(exitOK, "plan", "-f", file, "--exit-code").says(t, "unchanged")
	w.meshpol(exitOK, brief("rollout", "-f", file)...).says(t, "cart-timeout of service shop/cart unchanged")
	w.meshpol(exitUsage, "rollout", "abort", "cart-timeout").says(t, "has ended (Succeeded)", "meshpol rollback cart-timeout -n shop")
	w.meshpol(exitUsage, "rollout", "resume", "cart-timeout").says(t, "nothing to resume")
	w.meshpol(exitUsage, "rollout", "pause", "cart-timeout").says(t, "nothing to pause")

	r = w.meshpol(exitOK, "rollback", "cart-timeout", "-o", "yaml").says(t, "outcome: rolledBack", "exitCode: 0")
	if strings.Contains(r.out.String(), "RolledBack after") {
		t.Errorf("events on standard output: %s", r.out)
	}
	if w.Object("virtualservices", "shop", "cart") != nil {
		t.Error("the VirtualService is still there")
	}
	w.meshpol(exitUsage, "rollback", "cart-timeout").says(t, "was taken back already")
}

func TestEventsAsJSONLines(t *testing.T) {
	w := newWorld(t)
	r := w.meshpol(exitOK, brief("rollout", "-f", w.timeout("cart-timeout", "cart", "2s"), "-o", "jsonl")...)
	if got := r.outcomes(t); !slices.Equal(got, []string{"cart-timeout succeeded"}) {
		t.Errorf("outcomes %v", got)
	}
	if n := strings.Count(strings.TrimSpace(r.out.String()), "\n"); n != 0 {
		t.Errorf("the result has %d lines more than one: %s", n, r.out)
	}
	for line := range strings.Lines(r.err.String()) {
		if !strings.HasPrefix(line, `{"event":"`) {
			t.Errorf("no event: %s", line)
		}
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	file := w.timeout("cart-timeout", "cart", "2s")
	for _, args := range [][]string{{"rollout", "-f", file, "--dry-run=server"}, {"apply", "-f", file, "--dry-run"}} {
		r := w.meshpol(exitOK, append(args, "--no-analysis")...).says(t, "rehearsed", "nothing was written", "digest sha256:")
		if w.Object("virtualservices", "shop", "cart") != nil || w.Object("leases", "shop", cartTarget().LeaseName()) != nil {
			t.Errorf("%s: something was written", strings.Join(r.args, " "))
		}
	}
	for _, q := range w.Requests() {
		if q.Method != "GET" && !strings.Contains(q.Query, "dryRun=All") && !strings.Contains(q.Path, "selfsubject") {
			t.Errorf("not a dry run: %+v", q)
		}
	}
	r := w.meshpol(exitOK, "rollout", "-f", file, "--dry-run", "--no-analysis", "-o", "json")
	if got := r.outcomes(t); !slices.Equal(got, []string{"cart-timeout rehearsed"}) {
		t.Errorf("outcomes %v", got)
	}
	w.stored("other", cartTarget(), rollout.Progressing, true)
	w.meshpol(exitLocked, "rollout", "-f", file, "--dry-run", "--no-analysis").says(t, "locked by someone@host/1")
}

func TestDryRunTellsWhatTheServerRefuses(t *testing.T) {
	w := newWorld(t)
	w.Fail("POST", "virtualservices", -1, 422, "Invalid", "spec.http: too odd")
	w.Fail("PATCH", "virtualservices", -1, 422, "Invalid", "spec.http: too odd")
	w.meshpol(exitInvalid, "rollout", "-f", w.timeout("cart-timeout", "cart", "2s"), "--dry-run", "--no-analysis").says(t, "too odd", "nothing was written")
}

func TestSeveralTargetsStopAtTheFirstFailure(t *testing.T) {
	w := newWorld(t)
	files := []string{"-f", w.timeout("cart-timeout", "cart", "2s"), "-f", w.timeout("web-timeout", "web", "2s")}
	r := w.start(brief(append([]string{"rollout", "-o", "json"}, files...)...)...)
	eventually(t, func() bool { return strings.Contains(r.err.String(), "begins: ") })
	r.signals <- syscall.SIGTERM
	r.ends(t, exitAborted).says(t, "not started: rollout web-timeout of service shop/web")
	if got := r.outcomes(t); !slices.Equal(got, []string{"cart-timeout rolledBack", "web-timeout notStarted"}) {
		t.Errorf("outcomes %v", got)
	}
	if doc := r.document(t); doc["exitCode"] != float64(exitAborted) || doc["error"] == nil {
		t.Errorf("%v", doc)
	}
	r = w.meshpol(exitOK, brief(append([]string{"rollout", "-o", "json"}, files...)...)...).says(t, "service shop/web")
	if got := r.outcomes(t); !slices.Equal(got, []string{"cart-timeout succeeded", "web-timeout succeeded"}) {
		t.Errorf("outcomes %v", got)
	}
}

// TestSignalBeforeTheFirstWrite: a cluster that hangs keeps nobody waiting.
func TestSignalBeforeTheFirstWrite(t *testing.T) {
	for _, args := range [][]string{{"rollout"}, {"apply"}, {"plan"}, {"validate"}} {
		t.Run(args[0], func(t *testing.T) {
			w := newWorld(t)
			release := w.hang("/services")
			defer release()
			r := w.start(append(args, "-f", w.timeout("cart-timeout", "cart", "2s"))...)
			eventually(t, func() bool { return w.Count("GET", "/services") > 0 })
			r.signals <- syscall.SIGINT
			r.ends(t, exitAborted).says(t, "interrupted by a signal")
		})
	}
}

func TestPauseResumeAbort(t *testing.T) {
	w := newWorld(t)
	file := w.timeout("cart-timeout", "cart", "2s")
	r := w.start(append(brief("rollout", "-f", file, "--on-signal", "pause"), "--step-min", "10m")...)
	eventually(t, func() bool { return strings.Contains(w.meshpol(exitOK, "status").out.String(), "50 % of requests") })
	w.meshpol(exitOK, "rollout", "pause", "cart-timeout").says(t, "was asked to pause rollout cart-timeout")
	r.ends(t, exitPaused).quiet(t).says(t, "paused")
	w.meshpol(exitPaused, "status", "cart-timeout", "--watch").says(t, "Paused")
	w.meshpol(exitLocked, brief("rollout", "-f", file)...).says(t, "is unfinished (Paused", "meshpol rollout resume cart-timeout -n shop")
	w.meshpol(exitUsage, "rollout", "promote", "cart-timeout").says(t, "nobody runs rollout cart-timeout")

	r = w.start("rollout", "resume", "cart-timeout")
	eventually(t, func() bool { return strings.Contains(r.err.String(), "going on with rollout") })
	w.meshpol(exitOK, "rollout", "abort", "cart-timeout").says(t, "was asked to take rollout cart-timeout back", "was taken back by its runner", "the old policy")
	r.ends(t, exitAborted).says(t, "RolledBack")
	w.meshpol(exitAborted, "status", "cart-timeout", "-w", "-o", "json").says(t, `"phase": "RolledBack"`)
}

// What a run has brought into force and still judges is not there to stay: nobody is told that all is done.
func TestUnchangedIsNotSaidOfWhatIsStillJudged(t *testing.T) {
	w := newWorld(t)
	file := w.timeout("cart-timeout", "cart", "2s")
	r := w.start("apply", "-f", file, "--no-analysis", "--bake", "10m", "--tick", "1s")
	eventually(t, func() bool { return strings.Contains(w.meshpol(exitOK, "status").out.String(), "all traffic") })
	for _, again := range [][]string{{"apply", "-f", file, "--no-analysis"}, {"plan", "-f", file, "--exit-code"}, {"apply", "-f", file, "--no-analysis", "--dry-run"}} {
		w.meshpol(exitLocked, again...).says(t, "is locked by", "meshpol rollout abort cart-timeout")
	}
	r.signals <- syscall.SIGINT
	r.ends(t, exitAborted)
	w.meshpol(exitChanges, "plan", "-f", file, "--exit-code")
}

// TestRunnerThatDied: what it left is taken back, or gone on with, by whoever comes next.
func TestRunnerThatDied(t *testing.T) {
	for verb, want := range map[string]int{"rollback": exitOK, "resume": exitOK} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(append(brief("rollout", "-f", w.timeout("cart-timeout", "cart", "2s"), "--on-signal", "pause"), "--step-min", "2s")...)
			eventually(t, func() bool { return strings.Contains(r.err.String(), "begins: ") })
			for range 3 {
				r.signals <- syscall.SIGINT
			}
			<-r.done
			args := []string{"rollback", "cart-timeout"}
			if verb == "resume" {
				args = []string{"rollout", "resume", "cart-timeout"}
			}
			w.meshpol(want, args...)
		})
	}
}

// hang lets requests to a path wait until release is called.
func (w *world) hang(part string) (release func()) {
	gate := make(chan struct{})
	w.Handle("GET", part, -1, waitFor(gate))
	return func() { close(gate) }
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it did not come to that")
}
