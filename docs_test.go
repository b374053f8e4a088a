package meshpol_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the documents that people read.
func pages(t *testing.T) []string {
	t.Helper()
	out, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
}

// docCommand is a line of a sh block that runs meshpol.
type docCommand struct {
	page string
	line int
	// words are what stands before the first flag, meshpol left out; flags bear no value.
	words, flags []string
}

// commands finds every meshpol command line in the sh blocks of a page, behind a pipe too.
func commands(t *testing.T, page string) []docCommand {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []docCommand
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "```") {
			inside = !inside && strings.TrimSpace(line) == "```sh"
			continue
		}
		for part := range strings.SplitSeq(line, "|") {
			if fields := strings.Fields(part); inside && len(fields) > 0 && fields[0] == "meshpol" {
				out = append(out, parse(page, i+1, fields[1:]))
			}
		}
	}
	return out
}

func parse(page string, line int, fields []string) docCommand {
	c := docCommand{page: page, line: line}
	for _, f := range fields {
		switch {
		case strings.HasPrefix(f, "#"):
			return c
		case strings.HasPrefix(f, "-") && f != "-":
			name, _, _ := strings.Cut(f, "=")
			c.flags = append(c.flags, name)
		case len(c.flags) == 0:
			c.words = append(c.words, f)
		}
	}
	return c
}

// help asks the real program. Its answers are kept, since the documents repeat themselves.
type help struct {
	program string
	texts   map[string]string
}

func newHelp(t *testing.T) *help {
	t.Helper()
	program := filepath.Join(t.TempDir(), "meshpol")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/meshpol").CombinedOutput(); err != nil {
		t.Fatalf("building meshpol: %v\n%s", err, out)
	}
	return &help{program: program, texts: map[string]string{}}
}

func (h *help) of(t *testing.T, words []string) string {
	t.Helper()
	key := strings.Join(words, " ")
	if text, ok := h.texts[key]; ok {
		return text
	}
	out, err := exec.CommandContext(t.Context(), h.program, append(slices.Clone(words), "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("meshpol %s --help: %v\n%s", key, err, out)
	}
	h.texts[key] = string(out)
	return string(out)
}

// has tells whether a help text lists a subcommand.
func has(text, subcommand string) bool {
	return regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(subcommand) + `\s{2,}\S`).MatchString(text)
}

// knows tells whether a help text lists a flag: "-f, --filename" or "    --bake".
func knows(text, flag string) bool {
	return regexp.MustCompile(`(?m)^\s+(-\w, )?` + regexp.QuoteMeta(flag) + `(,|\s|=|$)`).MatchString(text)
}

// TestCommandsInTheDocsExist runs no command of the documents; it asks the program whether verbs and flags are there.
func TestCommandsInTheDocsExist(t *testing.T) {
	h := newHelp(t)
	all, err := exec.CommandContext(t.Context(), h.program, "options").CombinedOutput() // the flags of all commands
	if err != nil {
		t.Fatalf("meshpol options: %v\n%s", err, all)
	}
	count := 0
	for _, page := range pages(t) {
		for _, c := range commands(t, page) {
			count++
			var verb []string
			text := h.of(t, nil)
			for _, w := range c.words {
				if !has(text, w) {
					break
				}
				verb = append(verb, w)
				text = h.of(t, verb)
			}
			if len(verb) == 0 && len(c.words) > 0 {
				t.Errorf("%s:%d: meshpol has no command %q", c.page, c.line, c.words[0])
				continue
			}
			for _, f := range c.flags {
				if !knows(text, f) && !knows(string(all), f) {
					t.Errorf("%s:%d: meshpol %s has no flag %s", c.page, c.line, strings.Join(verb, " "), f)
				}
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d commands were found in the documents: the test no longer sees them", count)
	}
}

// TestLinksInTheDocsLead follows the relative links of the documents.
func TestLinksInTheDocsLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
			}
		}
	}
}
