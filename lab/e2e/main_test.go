//go:build e2e

// Package e2e runs the real meshpol on real Envoys under load, in a lab of its own, and lets the clients' own counts
// judge what it says. Run it with make e2e; it needs root.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// suite is what all tests share; TestMain fills it in before the first one.
type suite struct {
	lab  *trial.Lab
	name string
	ctx  context.Context
}

var the suite //nolint:gochecknoglobals // testing gives TestMain no other way to hand something to tests

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// grace is how long a test may go on after a signal.
const grace = 15 * time.Second

// giveUp ends tests that do not look at their context.
func giveUp(lab, name string) {
	if os.Getenv("MESHPOL_KEEP") == "" {
		_ = command(context.Background(), "..", lab, "down", "--name", name)
	}
	fmt.Fprintln(os.Stderr, "e2e: ended by a signal")
	os.Exit(1)
}

// runAll brings the lab up, runs the tests and takes it down again. MESHPOL_LAB names the lab; with MESHPOL_KEEP=1 it
// stays up, and one that is up already is used as it is.
func runAll(m *testing.M) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := os.Getenv("MESHPOL_LAB")
	if name == "" {
		name = "e2e"
	}
	dir, err := os.MkdirTemp("", "meshpol-e2e-")
	if err != nil {
		return 1, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	lab, meshpol := filepath.Join(dir, "lab"), filepath.Join(dir, "meshpol")
	if err := build(ctx, "..", lab, "./cmd/lab"); err != nil {
		return 1, err
	}
	if err := build(ctx, "../..", meshpol, "./cmd/meshpol"); err != nil {
		return 1, err
	}
	began := time.Now()
	if err := command(ctx, "..", lab, "up", "--name", name, "--scrape-interval", "1s"); err != nil {
		return 1, err
	}
	fmt.Printf("lab %s is up after %.0f s\n", name, time.Since(began).Seconds())
	if os.Getenv("MESHPOL_KEEP") == "" {
		defer func() { _ = command(context.WithoutCancel(ctx), "..", lab, "down", "--name", name) }()
	}
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { giveUp(lab, name) }) })()
	open, err := trial.Open(ctx, name, meshpol)
	if err != nil {
		return 1, err
	}
	if err := open.AwaitMetrics(ctx); err != nil {
		return 1, err
	}
	the = suite{lab: open, name: name, ctx: ctx}
	return m.Run(), nil
}

func build(ctx context.Context, dir, out, pkg string) error {
	return command(ctx, dir, "go", "build", "-o", out, pkg)
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s %v: %w", filepath.Base(name), args, err)
	}
	return nil
}
