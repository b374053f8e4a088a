package printer

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// PlanView is what a person is shown of a plan before anything is written.
type PlanView struct {
	Name   string
	Target policy.Target
	// Strategy is canary, direct, ….
	Strategy string
	// Digest is what is approved, locked and resumed.
	Digest string
	Steps  []StepView
	// Notes stop nothing; AtFold are populations that get the policy only at the fold.
	Notes  []string
	AtFold []string
	// Forecast is what may be promised; nil where nothing is judged.
	Forecast *ForecastView
}

// StepView is one step of a plan.
type StepView struct {
	// Name is the step's name, Exposure how much is in force: "1 % of requests".
	Name, Exposure string
	// Asked says what was asked for where it will be something else: "asked 1 % of 8 client pods".
	Asked string
	// Hold says what ends the step: "1 min to 10 min, 20 requests".
	Hold    string
	Objects []ObjectDiff
}

// ObjectDiff is an object before and after a step; Before is nil where it is created, After where it is deleted.
type ObjectDiff struct {
	Ref           rollout.Ref
	Before, After *unstructured.Unstructured
}

// PlanDocument is one plan as a document.
type PlanDocument struct {
	Name     string            `json:"name"`
	Target   policy.Target     `json:"target"`
	Strategy string            `json:"strategy,omitempty"`
	Digest   string            `json:"digest"`
	Notes    []string          `json:"notes,omitempty"`
	AtFold   []string          `json:"atFold,omitempty"`
	Forecast *ForecastDocument `json:"forecast,omitempty"`
	Steps    []StepDocument    `json:"steps"`
}

// StepDocument is one step of a plan as a document.
type StepDocument struct {
	Name     string           `json:"name"`
	Exposure string           `json:"exposure"`
	Asked    string           `json:"asked,omitempty"`
	Hold     string           `json:"hold,omitempty"`
	Objects  []ObjectDocument `json:"objects"`
}

// ObjectDocument is an object with what happens to it: created, configured, deleted or unchanged.
type ObjectDocument struct {
	Op string `json:"op"`
	// Object is the whole object after the step; where it is deleted, as it was before.
	Object map[string]any `json:"object"`
}

// Plans writes plans: as a diff for people, as whole objects for programs.
func (p *Printer) Plans(plans []PlanView) error {
	if p.format != Text {
		docs := make([]PlanDocument, 0, len(plans))
		for _, v := range plans {
			doc, err := planDocument(v)
			if err != nil {
				return err
			}
			docs = append(docs, doc)
		}
		return p.document(map[string]any{"plans": docs})
	}
	var out lines
	for i, v := range plans {
		if i > 0 {
			out.add("")
		}
		if err := p.planText(&out, v); err != nil {
			return err
		}
	}
	return p.write(out.String())
}

func planDocument(v PlanView) (PlanDocument, error) {
	doc := PlanDocument{Name: v.Name, Target: v.Target, Strategy: v.Strategy, Digest: v.Digest, Notes: v.Notes, AtFold: v.AtFold, Forecast: v.Forecast.document(), Steps: []StepDocument{}}
	for _, s := range v.Steps {
		step := StepDocument{Name: s.Name, Exposure: s.Exposure, Asked: s.Asked, Hold: s.Hold, Objects: []ObjectDocument{}}
		for _, d := range s.Objects {
			c, err := changeOf(d)
			if err != nil {
				return PlanDocument{}, err
			}
			object := clean(d.After)
			if object == nil {
				object = clean(d.Before)
			}
			step.Objects = append(step.Objects, ObjectDocument{Op: c.op, Object: object})
		}
		doc.Steps = append(doc.Steps, step)
	}
	return doc, nil
}

func (p *Printer) planText(out *lines, v PlanView) error {
	title := "plan " + oneLine(v.Name)
	if v.Strategy != "" {
		title += " (" + oneLine(v.Strategy) + ")"
	}
	out.add("%s of %s", p.styles.paint(p.styles.strong, title), oneLine(v.Target.String()))
	if len(v.Steps) == 0 {
		out.add("unchanged: the cluster has what the policies say, nothing will be written")
		return nil
	}
	out.add("digest %s", oneLine(v.Digest))
	for _, n := range v.Notes {
		out.add("%s %s", p.styles.paint(p.styles.warn, "note:"), oneLine(n))
	}
	for _, f := range v.AtFold {
		out.add("%s %s", p.styles.paint(p.styles.warn, "only at the fold:"), oneLine(f))
	}
	for _, line := range v.Forecast.lines() {
		out.add("%s", oneLine(line))
	}
	seen := map[string]string{}
	for i, s := range v.Steps {
		if err := p.stepText(out, i+1, len(v.Steps), s, seen); err != nil {
			return err
		}
	}
	out.add("")
	out.add("%s, %s", plural(len(v.Steps), "step", "steps"), planSum(v))
	return nil
}

// stepText writes one step. seen holds the differences already shown, so that none is shown twice.
func (p *Printer) stepText(out *lines, i, n int, s StepView, seen map[string]string) error {
	head := fmt.Sprintf("step %d/%d", i, n)
	facts := []string{oneLine(stepTitle(s))}
	for _, f := range []string{s.Asked, s.Hold} {
		if f != "" {
			facts = append(facts, oneLine(f))
		}
	}
	out.add("")
	out.add("%s  %s", p.styles.paint(p.styles.strong, head), strings.Join(facts, " · "))
	if len(s.Objects) == 0 {
		out.add("  no object is written")
	}
	for _, d := range s.Objects {
		c, err := changeOf(d)
		if err != nil {
			return err
		}
		p.objectText(out, head, d, c, seen)
	}
	return nil
}

func (p *Printer) objectText(out *lines, step string, d ObjectDiff, c change, seen map[string]string) {
	key := d.Ref.String() + c.hunks
	where, again := seen[key]
	switch {
	case c.hunks == "":
		out.add("  %s %s", oneLine(d.Ref.String()), c.op)
	case again:
		out.add("  %s %s, the same change as in %s", oneLine(d.Ref.String()), c.op, where)
	default:
		seen[key] = step
		out.add("  %s %s", oneLine(d.Ref.String()), c.op)
		out.WriteString(p.styles.paintDiff(c.hunks, "    "))
	}
}

// stepTitle is the exposure, with the step's name where that says more.
func stepTitle(s StepView) string {
	switch {
	case s.Exposure == "":
		return s.Name
	case s.Name == "", strings.HasPrefix(s.Exposure, s.Name), strings.HasPrefix(s.Name, "step "), strings.HasSuffix(s.Name, "%"):
		return s.Exposure
	}
	return s.Name + ", " + s.Exposure
}

// planSum counts the objects a plan touches by what becomes of them in the end.
func planSum(v PlanView) string {
	refs := map[rollout.Ref]bool{}
	writes := 0
	for _, s := range v.Steps {
		writes += len(s.Objects)
		for _, d := range s.Objects {
			refs[d.Ref] = true
		}
	}
	return fmt.Sprintf("%s to %s", plural(writes, "write", "writes"), plural(len(refs), "object", "objects"))
}
