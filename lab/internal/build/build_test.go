package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newTestBuilder(t *testing.T) (*Builder, *bytes.Buffer) {
	t.Helper()
	var progress bytes.Buffer
	b := &Builder{Source: t.TempDir(), Cache: t.TempDir(), Progress: &progress, Now: time.Now}
	write(t, filepath.Join(b.Source, "part", "main.go"), "one")
	return b, &progress
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAUnitIsBuiltAgainOnlyWhenItsSourcesChange(t *testing.T) {
	b, _ := newTestBuilder(t)
	built := 0
	u := unit{title: "part", inputs: []string{"part"}, outputs: []string{"part"}, make: func(_ context.Context, dir string) error {
		built++
		return os.WriteFile(filepath.Join(dir, "part"), []byte("x"), 0o755)
	}}
	build := func() string {
		t.Helper()
		dir, err := b.build(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	first := build()
	write(t, filepath.Join(b.Source, "part", "main_test.go"), "a test")
	if again := build(); again != first || built != 1 {
		t.Errorf("built %d times without a change", built)
	}
	write(t, filepath.Join(b.Source, "part", "main.go"), "two")
	if second := build(); second == first || built != 2 {
		t.Errorf("built %d times after a change", built)
	}
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old build is still there: %v", err)
	}
}

func TestAFailedBuildLeavesNothingThatLooksComplete(t *testing.T) {
	b, _ := newTestBuilder(t)
	u := unit{title: "part", outputs: []string{"part"}, make: func(context.Context, string) error { return errors.New("no compiler") }}
	if _, err := b.build(t.Context(), u); err == nil || err.Error() != "building part: no compiler" {
		t.Errorf("error %v", err)
	}
	u.make = func(context.Context, string) error { return nil }
	if _, err := b.build(t.Context(), u); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("error %v", err)
	}
}

func TestFollowCountsPackagesAndKeepsErrors(t *testing.T) {
	b, progress := newTestBuilder(t)
	now := time.Unix(0, 0)
	b.Now = func() time.Time { now = now.Add(10 * time.Second); return now }
	said := b.follow(strings.NewReader("go: downloading x v1\nexample.org/a\nexample.org/b\n# example.org/c\nc.go:1: no\n"))
	if said != "# example.org/c; c.go:1: no" {
		t.Errorf("said %q", said)
	}
	if !strings.Contains(progress.String(), "2 packages compiled") {
		t.Errorf("progress %q", progress)
	}
}

func TestFirstErrorIsPipsOwn(t *testing.T) {
	out := "Looking in indexes\nERROR: No matching distribution\nmore\n"
	if got := firstError(out, errors.New("exit 1")); got != "ERROR: No matching distribution" {
		t.Errorf("got %q", got)
	}
	if got := firstError("", errors.New("exit 1")); got != "exit 1" {
		t.Errorf("got %q", got)
	}
}

func TestSourceIsFoundFromBelow(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "lab", "plane", "go.mod"), "module x")
	write(t, filepath.Join(root, "docs", "a.md"), "")
	for _, dir := range []string{root, filepath.Join(root, "docs"), filepath.Join(root, "lab"), filepath.Join(root, "lab", "plane")} {
		t.Chdir(dir)
		got, err := Source()
		if err != nil || filepath.Base(got) != "lab" {
			t.Errorf("from %s: %s, error %v", dir, got, err)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := Source(); err == nil {
		t.Error("sources were found where none are")
	}
}
