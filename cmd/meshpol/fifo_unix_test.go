//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A pipe is a file like any other (-f <(helm template …)); one that nobody writes to is waited for until a signal, and
// one among the files of a directory is refused.
func TestNamedPipes(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "policies")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "policy.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("this file system has no named pipes: %v", err)
	}
	w.meshpol(exitInvalid, "validate", "--offline", "-f", dir).says(t, pipe, "MP101", "it is a pipe, a socket or a device, not a file")
	for _, command := range []string{"validate", "plan", "rollout", "apply"} {
		r := w.start(command, "-f", pipe)
		time.Sleep(20 * time.Millisecond)
		r.signals <- syscall.SIGINT
		r.ends(t, exitAborted).says(t, "interrupted by a signal; nothing was written")
	}
	text, err := os.ReadFile(w.timeout("cart-timeout", "cart", "2s"))
	if err != nil {
		t.Fatal(err)
	}
	pipe += "2" // the readers of the first one, which end with their process, are still there
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.start("validate", "--offline", "-f", pipe)
	if err := os.WriteFile(pipe, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(t, exitOK)
}
