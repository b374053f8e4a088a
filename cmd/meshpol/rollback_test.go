package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// answer is a live runner that does something as soon as it is asked for something.
func (w *world) answer(t *testing.T, act func(s *rollout.State)) {
	store := w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			s, _, err := store.Peek(t.Context(), cartTarget())
			if err == nil && s.Request != "" {
				s.Request = ""
				act(&s)
				w.save(store, s)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { <-done })
}

func TestAskedRunner(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		act  func(*rollout.State)
		want int
		says string
	}{
		"takes it back":               {[]string{"rollback", "cart-timeout"}, func(s *rollout.State) { s.Phase, s.Reason = rollout.RolledBack, "aborted by a person" }, exitOK, "was taken back by its runner: aborted by a person"},
		"takes it back, for programs": {[]string{"rollout", "abort", "cart-timeout", "-o", "json"}, func(s *rollout.State) { s.Phase = rollout.RolledBack }, exitOK, `"outcome": "rolledBack"`},
		"cannot":                      {[]string{"rollback", "cart-timeout"}, func(s *rollout.State) { s.Phase, s.Reason = rollout.Failed, "no rights" }, exitFailed, "its runner gave up: no rights"},
		"had succeeded":               {[]string{"rollout", "abort", "cart-timeout"}, func(s *rollout.State) { s.Phase = rollout.Succeeded }, exitUsage, "has ended (Succeeded); meshpol rollback cart-timeout -n shop"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer(t, c.act)
			w.meshpol(c.want, c.args...).says(t, "someone@host/1 was asked to take rollout cart-timeout back", c.says)
		})
	}
}

func TestRunnerThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
	w.meshpol(exitTimeout, "rollback", "cart-timeout", "--timeout", "50ms").says(t, "the runner someone@host/1 has not taken it back in 50ms; if it hangs: meshpol rollback cart-timeout -n shop --take-over")
	w.meshpol(exitUsage, "rollback", "cart-timeout", "--timeout", "0s").says(t, "2m is the default")
	r := w.start("rollout", "abort", "cart-timeout")
	eventually(t, func() bool { return w.Count("PATCH", "leases") > 1 })
	r.signals <- syscall.SIGINT
	r.ends(t, exitAborted).says(t, "the runner still has the request")
}

// TestTakeBackWithoutARecord leaves the lock free: somebody will mend it by hand.
func TestTakeBackWithoutARecord(t *testing.T) {
	for name, phase := range map[string]rollout.Phase{"paused": rollout.Paused, "failed": rollout.Failed, "succeeded": rollout.Succeeded, "half-way": rollout.RollingBack} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := w.stored("cart-timeout", cartTarget(), phase, false)
			w.meshpol(exitInternal, "rollback", "cart-timeout").says(t, "its record (revision 1) is gone; bring the objects back by hand")
			if _, lock, err := store.Peek(t.Context(), cartTarget()); err != nil || lock.Holder != "" {
				t.Errorf("the lock is held by %q (%v)", lock.Holder, err)
			}
			w.meshpol(exitOK, "status", "cart-timeout").says(t, string(phase))
		})
	}
}

// TestAskNeedsNoRecord: a live runner has everything itself.
func TestAskNeedsNoRecord(t *testing.T) {
	w := newWorld(t)
	w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
	w.meshpol(exitOK, "rollout", "pause", "cart-timeout").quiet(t).says(t, "someone@host/1 was asked to pause")
	w.meshpol(exitOK, "rollout", "promote", "cart-timeout", "-q").quiet(t)
}

// TestResumeOfALivePause: the runner waits at its terminal, so it is asked and not robbed.
func TestResumeOfALivePause(t *testing.T) {
	w := newWorld(t)
	store := w.stored("cart-timeout", cartTarget(), rollout.Paused, true)
	w.meshpol(exitOK, "rollout", "resume", "cart-timeout").says(t, "someone@host/1 was asked to resume")
	if s, _, err := store.Peek(t.Context(), cartTarget()); err != nil || s.Request != rollout.RequestResume {
		t.Errorf("request %q (%v)", s.Request, err)
	}
	w.meshpol(exitUsage, "rollout", "resume", "cart-timeout", "--on-signal", "jump").says(t, `--on-signal "jump": use rollback, pause`)
}

// TestSilentRunner: clocks of other machines do not count, signs of life do.
func TestSilentRunner(t *testing.T) {
	begin := time.Now()
	l := rollout.Lock{Holder: "x", Renewed: begin.Add(-time.Hour), TTL: 30 * time.Second}
	var s sight
	if s.silent(l, begin) || s.silent(l, begin.Add(30*time.Second)) || !s.silent(l, begin.Add(31*time.Second)) {
		t.Error("the time to live is not kept")
	}
	l.Renewed = l.Renewed.Add(time.Second)
	if s.silent(l, begin.Add(40*time.Second)) || !s.silent(l, begin.Add(71*time.Second)) {
		t.Error("a sign of life does not count")
	}
}
