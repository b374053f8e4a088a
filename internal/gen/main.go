// Command gen writes docs/reference from the code: a JSON Schema for every kind, a page of all fields, and a page of all
// findings. Run it at the root of the repository with go run ./internal/gen, or with go generate.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

//go:generate go run .

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal("gen: ", err)
	}
}

func run() error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	files, err := pages(root)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, reference, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// reference is where everything that is generated here lives.
const reference = "docs/reference"

// findRoot is the directory of go.mod, here or above.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("looking for go.mod: there is none here or above")
		}
		dir = above
	}
}

// pages are all files by their path below docs/reference.
func pages(root string) (map[string][]byte, error) {
	comments, err := readComments(filepath.Join(root, "pkg/policy/v1alpha1"))
	if err != nil {
		return nil, err
	}
	examples, err := readExamples(filepath.Join(root, "examples/kinds"))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"policies.md": fieldsPage(comments, examples), "findings.md": findingsPage()}
	for name, schema := range schemas(comments) {
		text, err := indented(schema)
		if err != nil {
			return nil, fmt.Errorf("writing the schema %s: %w", name, err)
		}
		out["schema/"+name+".json"] = text
	}
	return out, nil
}

// readExamples reads the example of every kind.
func readExamples(dir string) (map[string]string, error) {
	out := map[string]string{}
	for _, k := range kinds() {
		text, err := os.ReadFile(filepath.Join(dir, k.fileName()+".yaml"))
		if err != nil {
			return nil, fmt.Errorf("reading the example of %s: %w", k.name, err)
		}
		out[k.fileName()] = string(text)
	}
	return out, nil
}
