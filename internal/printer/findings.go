package printer

import (
	"fmt"

	"charm.land/lipgloss/v2"
)

// FindingView is one finding of a validation.
type FindingView struct {
	// Code is the stable code: MP301.
	Code string `json:"code"`
	// Severity is error, warning or info.
	Severity string `json:"severity"`
	// Policy is kind/namespace/name; empty where the finding is about a file.
	Policy string `json:"policy,omitempty"`
	// At is file:line; empty where nothing on disk is meant.
	At string `json:"at,omitempty"`
	// Field is the path of the field: spec.request.
	Field string `json:"field,omitempty"`
	// Message says what is wrong, Next what to do about it.
	Message string `json:"message"`
	Next    string `json:"next,omitempty"`
}

// FindingsDocument is a validation as a document.
type FindingsDocument struct {
	// Policies is how many policies were looked at.
	Policies int           `json:"policies"`
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Findings []FindingView `json:"findings"`
}

// Findings writes findings in the order given, as compilers write theirs, so that editors can jump to them.
func (p *Printer) Findings(policies int, findings []FindingView) error {
	doc := FindingsDocument{Policies: policies, Findings: findings}
	for _, f := range findings {
		switch f.Severity {
		case "error":
			doc.Errors++
		case "warning":
			doc.Warnings++
		}
	}
	if p.format != Text {
		if doc.Findings == nil {
			doc.Findings = []FindingView{}
		}
		return p.document(doc)
	}
	var out lines
	for _, f := range findings {
		out.add("%s", p.findingText(f))
		if f.Next != "" {
			out.add("    next: %s", p.styles.paint(p.styles.accent, oneLine(f.Next)))
		}
	}
	if !p.opts.Quiet {
		out.add("%s: %s", plural(policies, "policy", "policies"), p.findingsSum(doc))
	}
	return p.write(out.String())
}

func (p *Printer) findingText(f FindingView) string {
	text := p.styles.paint(p.severity(f.Severity), oneLine(f.Severity+" "+f.Code))
	if f.At != "" {
		text = oneLine(f.At) + ": " + text
	}
	for _, part := range []string{f.Policy, f.Field} {
		if part != "" {
			text += " " + oneLine(part)
		}
	}
	return text + ": " + oneLine(f.Message)
}

func (p *Printer) severity(severity string) lipgloss.Style {
	switch severity {
	case "error":
		return p.styles.bad
	case "warning":
		return p.styles.warn
	default:
		return p.styles.dim
	}
}

func (p *Printer) findingsSum(d FindingsDocument) string {
	if d.Errors+d.Warnings == 0 {
		return p.styles.paint(p.styles.good, "no errors, no warnings")
	}
	return fmt.Sprintf("%s, %s", plural(d.Errors, "error", "errors"), plural(d.Warnings, "warning", "warnings"))
}
