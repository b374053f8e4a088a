package printer

import (
	"fmt"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
)

// Outcome is what a command made of a target.
type Outcome string

// The outcomes. Unfinished is a run that was given up under way, Rehearsed a dry run that was accepted, NotStarted a
// target that the command did not come to.
const (
	Succeeded  Outcome = "succeeded"
	RolledBack Outcome = "rolledBack"
	Paused     Outcome = "paused"
	Failed     Outcome = "failed"
	Unfinished Outcome = "unfinished"
	Unchanged  Outcome = "unchanged"
	Rehearsed  Outcome = "rehearsed"
	NotStarted Outcome = "notStarted"
)

// OutcomeView is what a command that writes made of one target.
type OutcomeView struct {
	Name    string
	Target  policy.Target
	Outcome Outcome
	// Reason is why it was taken back, paused or given up.
	Reason string
	// Digest and Steps are the plan's, Writes the number of dry runs that the API server accepted.
	Digest        string
	Steps, Writes int
	// Status is where the rollout was left; nil where there is none.
	Status *StatusView
}

// OutcomesDocument is what a command that writes came to.
type OutcomesDocument struct {
	ExitCode int `json:"exitCode"`
	// Error is what is written to standard error as well; empty where the outcomes say everything.
	Error    string            `json:"error,omitempty"`
	Outcomes []OutcomeDocument `json:"outcomes"`
}

// OutcomeDocument is what became of one target.
type OutcomeDocument struct {
	Name    string        `json:"name"`
	Target  policy.Target `json:"target"`
	Outcome Outcome       `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	Digest  string        `json:"digest,omitempty"`
	Steps   int           `json:"steps,omitempty"`
	Writes  int           `json:"writes,omitempty"`
	// Rollout is the rollout as status shows it.
	Rollout *StatusDocument `json:"rollout,omitempty"`
}

// Outcomes writes what a command came to: for programs a document, whatever happened; for people only what no event
// has told them, a dry run and a target that is as it should be.
func (p *Printer) Outcomes(exitCode int, err error, outcomes []OutcomeView) error {
	if p.format == Text {
		return p.outcomesText(outcomes)
	}
	doc := OutcomesDocument{ExitCode: exitCode, Outcomes: make([]OutcomeDocument, 0, len(outcomes))}
	if err != nil {
		doc.Error = err.Error()
	}
	for _, v := range outcomes {
		o := OutcomeDocument{Name: v.Name, Target: v.Target, Outcome: v.Outcome, Reason: v.Reason, Digest: v.Digest, Steps: v.Steps, Writes: v.Writes}
		if v.Status != nil {
			status := v.Status.document(time.Time{})
			o.Rollout = &status
		}
		doc.Outcomes = append(doc.Outcomes, o)
	}
	return p.document(doc)
}

func (p *Printer) outcomesText(outcomes []OutcomeView) error {
	var out lines
	for _, v := range outcomes {
		what := fmt.Sprintf("%s of %s", p.styles.paint(p.styles.strong, oneLine(v.Name)), oneLine(v.Target.String()))
		switch v.Outcome {
		case Rehearsed:
			out.add("%s rehearsed: %s and the way back, %s accepted by the API server; nothing was written", what, plural(v.Steps, "step", "steps"), plural(v.Writes, "dry run", "dry runs"))
			out.add("digest %s", oneLine(v.Digest))
		case Unchanged:
			out.add("%s unchanged: the cluster has what the policies say, nothing is written", what)
		}
	}
	if out.Len() == 0 {
		return nil
	}
	return p.write(out.String())
}
