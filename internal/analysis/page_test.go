package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestThePageIsWhole writes the page with one rollout a cell: every table has rows of its own width, every plot is XML.
func TestThePageIsWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("it simulates some hundred rollouts")
	}
	dir := t.TempDir()
	if err := write(t.Context(), 1, dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(dir + "/analysis.md")
	if err != nil {
		t.Fatal(err)
	}
	columns, rows := 0, 0
	for line := range strings.Lines(string(page)) {
		switch n := strings.Count(line, "|"); {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d columns instead of %d: %s", n-1, columns-1, line)
		default:
			rows++
		}
	}
	if rows < 50 || strings.Contains(string(page), "NaN") || regexp.MustCompile(`\de-\d`).Match(page) {
		t.Errorf("%d rows:\n%s", rows, page)
	}
	for _, name := range []string{"analysis-harmed.svg", "analysis-found.svg"} {
		isXML(t, dir+"/"+name)
	}
}

func isXML(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}
