package process

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func start(t *testing.T, script, mark string) *Process {
	t.Helper()
	p, err := NewSpawner(t.Context()).Start(t.Context(), Command{
		Name: "test", Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{Marker + "=" + mark}, Output: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestExitTellsCodesAndSignals(t *testing.T) {
	if code, signal := start(t, "exit 3", "a").Exit(); code != 3 || signal != 0 {
		t.Errorf("code %d, signal %d; want 3, 0", code, signal)
	}
	if code, signal := start(t, "kill -TERM $$", "a").Exit(); code != 143 || signal != syscall.SIGTERM {
		t.Errorf("code %d, signal %d; want 143, SIGTERM", code, signal)
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	p := start(t, "trap '' TERM; while :; do sleep 0.05; done", "a")
	time.Sleep(100 * time.Millisecond) // until the trap is set
	p.Stop(200 * time.Millisecond)
	if _, signal := p.Exit(); signal != syscall.SIGKILL {
		t.Errorf("ended by signal %d, want SIGKILL", signal)
	}
}

func TestProcessesAreFoundByTheWholeName(t *testing.T) {
	p := start(t, "sleep 60 & wait", "find-me")
	start(t, "sleep 60", "find-me-not")
	found := func() []int { return Find("find-me") }
	deadline := time.Now().Add(5 * time.Second)
	for len(found()) != 2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := found(); len(got) != 2 {
		t.Fatalf("found %v, want the shell %d and its child", got, p.PID())
	}
	if RSS(p.PID()) <= residentBytes(p.PID()) {
		t.Error("the memory of the child is not counted")
	}
	if err := KillAll("find-me", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := found(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
