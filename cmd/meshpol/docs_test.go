package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestReferenceIsUpToDate fails where the commands and their committed reference differ: make generate writes it anew.
func TestReferenceIsUpToDate(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	s := streams{in: &out, out: &out, err: &out, env: func(string) (string, bool) { return "", false }}
	if code := run(t.Context(), []string{"docs", dir}, s, make(chan os.Signal)); code != exitOK {
		t.Fatalf("exit code %d: %s", code, out.String())
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(made) == 0 {
		t.Fatalf("nothing was written: %v", err)
	}
	for _, path := range made {
		want, _ := os.ReadFile(path)
		got, err := os.ReadFile(filepath.Join("../../docs/reference/commands", filepath.Base(path)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/reference/commands/%s is out of date: make generate", filepath.Base(path))
		}
	}
}
