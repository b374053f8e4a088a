// Package golden compares what a test got with a file in testdata. It is for tests only.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the golden files instead of comparing: go test ./internal/printer -update.
var update = flag.Bool("update", false, "rewrite the golden files with what the tests got") //nolint:gochecknoglobals // a flag of the test binary

// Equal fails the test where got differs from the file testdata/<name>, and shows the difference. With -update it
// writes the file instead.
func Equal(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		write(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading the golden file: %v (write it with: go test -run '%s' . -update)", err, t.Name())
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got; accept with -update):\n%s", path, diff)
	}
}

func write(t *testing.T, path string, got []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, got, 0o644); err != nil {
		t.Fatal(err)
	}
}
