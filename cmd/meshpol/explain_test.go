package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/meshpol/meshpol/internal/printer"
)

func TestExplain(t *testing.T) {
	for _, code := range []string{"mp301", "MP540", "MP101"} {
		exit, out, stderr := alone(t, "explain", code)
		if exit != exitOK || !strings.HasPrefix(out, strings.ToUpper(code)) || !strings.Contains(out, "\n\nnext: ") || stderr != "" {
			t.Errorf("%s: exit code %d, %s%s", code, exit, out, stderr)
		}
	}
	for format, words := range map[string][]string{
		"json": {`"code": "MP540"`, `"severity": "error"`, `"why": "`, `"next": "`},
		"yaml": {"code: MP540\n", "severity: error\n", "why: ", "next: "},
	} {
		_, out, _ := alone(t, "explain", "MP540", "-o", format)
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in %s", w, out)
			}
		}
	}
}

func TestExplainListsAllCodes(t *testing.T) {
	_, out, _ := alone(t, "explain")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(explanations())+1 || !slices.IsSorted(lines[1:]) {
		t.Errorf("%d lines:\n%s", len(lines), out)
	}
	for _, want := range []string{`(?m)^MP301  warning   retries`, `(?m)^MP442  error     two`, `(?m)^MP570  note      a pool`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	var doc printer.ExplanationsDocument
	if _, out, _ = alone(t, "explain", "-o", "json"); json.Unmarshal([]byte(out), &doc) != nil || !slices.Equal(doc.Codes, explanations()) {
		t.Errorf("%s", out)
	}
	if _, out, _ = alone(t, "explain", "-o", "yaml"); !strings.HasPrefix(out, "codes:\n- code: MP101\n") {
		t.Errorf("%s", out)
	}
}

func TestExplainWhatIsNoCode(t *testing.T) {
	for arg, want := range map[string]string{
		"MP999":   `no finding has the code "MP999"; all codes are listed by: meshpol explain`,
		"MP308":   `did you mean MP307 or MP306 or MP305?`,
		"MP031":   `did you mean MP301?`,
		"MP5533":  `did you mean MP553?`,
		"MP54O":   `did you mean MP540 or`,
		"301":     `did you mean MP301 or MP302`,
		"Timeout": "Timeout is a kind, not the code of a finding; the fields of all kinds are in docs/reference/policies.md",
		"rollout": "Rollout is a kind",
	} {
		code, out, stderr := alone(t, "explain", arg)
		if code != exitUsage || out != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "meshpol explain") {
			t.Errorf("%s: exit code %d, want %q, got %s", arg, code, want, stderr)
		}
	}
}

// TestEveryCodeSaysWhatToDo wants it for all lists at once, and wants it not to be the finding in other words.
func TestEveryCodeSaysWhatToDo(t *testing.T) {
	for _, e := range explanations() {
		if e.Severity == "" || e.Title == "" || e.Why == "" || e.Next == "" {
			t.Errorf("%s is not described: %+v", e.Code, e)
		}
		for _, text := range []string{e.Why, e.Next} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(e.Title)) || strings.ContainsAny(text, "`\n") {
				t.Errorf("%s repeats its title or is not plain: %s", e.Code, text)
			}
		}
		if strings.Contains(e.Why, e.Next) || len(e.Next) > 320 {
			t.Errorf("%s: %s", e.Code, e.Next)
		}
	}
}

// TestAdviceCanBeFollowed looks for every command and flag of ours that a code's text names.
func TestAdviceCanBeFollowed(t *testing.T) {
	root := newRootCmd(&app{kube: genericclioptions.NewConfigFlags(true)})
	flags := map[string]bool{"show-labels": true, "show-managed-fields": true} // kubectl's
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		}
		for _, c := range cmd.Commands() {
			collect(c)
		}
	}
	collect(root)
	command, flag := regexp.MustCompile(`meshpol ((?:rollout )?[a-z]+)`), regexp.MustCompile(`--([a-z0-9-]+)`)
	for _, e := range explanations() {
		for _, m := range command.FindAllStringSubmatch(e.Next, -1) {
			words := strings.Fields(m[1])
			if found, _, err := root.Find(words); err != nil || found.Name() != words[len(words)-1] {
				t.Errorf("%s: there is no meshpol %s", e.Code, m[1])
			}
		}
		for _, m := range flag.FindAllStringSubmatch(e.Next, -1) {
			if !flags[m[1]] {
				t.Errorf("%s: there is no --%s", e.Code, m[1])
			}
		}
	}
}
