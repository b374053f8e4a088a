package printer_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func outcomes() []printer.OutcomeView {
	done := ended(rollout.RolledBack, rollout.CauseBreach, "new fails 100 times as often")
	return []printer.OutcomeView{
		{Name: "cart-timeout", Target: cart(), Outcome: printer.RolledBack, Reason: done.State.Reason, Digest: done.State.Digest, Steps: 6, Status: &done},
		{Name: "web-timeout", Target: cart(), Outcome: printer.Unchanged, Digest: "sha256:0a"},
		{Name: "käse", Target: cart(), Outcome: printer.Rehearsed, Digest: "sha256:0b", Steps: 6, Writes: 9},
		{Name: "late", Target: cart(), Outcome: printer.NotStarted},
	}
}

func TestOutcomes(t *testing.T) {
	for name, f := range map[string]printer.Format{"text": printer.Text, "json": printer.JSON, "yaml": printer.YAML, "jsonl": printer.JSONLines} {
		var out bytes.Buffer
		if err := printer.New(&out, f, printer.Options{}).Outcomes(4, errors.New("taken back"), outcomes()); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "outcomes/"+name+".golden", out.Bytes())
	}
}

// TestOutcomesOfNothing: programs get their document even where nothing was begun, people get nothing.
func TestOutcomesOfNothing(t *testing.T) {
	for f, want := range map[printer.Format]string{printer.Text: "", printer.JSONLines: `{"exitCode":3,"error":"no","outcomes":[]}` + "\n"} {
		var out bytes.Buffer
		if err := printer.New(&out, f, printer.Options{}).Outcomes(3, errors.New("no"), nil); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v", f, out.String(), err)
		}
	}
}

func TestAbout(t *testing.T) {
	var out bytes.Buffer
	p := printer.New(&out, printer.Text, printer.Options{})
	v := printer.VersionDocument{Version: "v1.2.3", Revision: "0123456789abcdef", Go: "go1.26", Platform: "linux/amd64"}
	if err := errors.Join(p.Version(v), p.Explanation(explained()[0])); err != nil {
		t.Fatal(err)
	}
	if want := "meshpol v1.2.3 0123456789ab go1.26 linux/amd64\nMP301 (warning): too long\n\nIt is.\n\nnext: Shorten it.\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func explained() []printer.ExplanationDocument {
	return []printer.ExplanationDocument{
		{Code: "MP301", Severity: "warning", Title: "too long", Why: "It is.", Next: "Shorten it."},
		{Code: "MP540", Severity: "error", Title: "not here", Why: "It is not.", Next: "Wait."},
	}
}

func TestExplanations(t *testing.T) {
	for f, want := range map[printer.Format]string{
		printer.Text: "CODE   SEVERITY  TITLE\nMP301  warning   too long\nMP540  error     not here\n",
		printer.JSONLines: `{"codes":[{"code":"MP301","severity":"warning","title":"too long","why":"It is.","next":"Shorten it."},` +
			`{"code":"MP540","severity":"error","title":"not here","why":"It is not.","next":"Wait."}]}` + "\n",
	} {
		var out bytes.Buffer
		if err := printer.New(&out, f, printer.Options{}).Explanations(explained()); err != nil || out.String() != want {
			t.Errorf("%q: %q, %v", f, out.String(), err)
		}
	}
}
