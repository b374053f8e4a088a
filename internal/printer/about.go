package printer

import (
	"fmt"
	"strings"
)

// VersionDocument says which build of meshpol it is.
type VersionDocument struct {
	Version string `json:"version"`
	// Revision is the commit it was built from, where that is known.
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Version writes which build it is.
func (p *Printer) Version(v VersionDocument) error {
	if p.format != Text {
		return p.document(v)
	}
	parts := []string{"meshpol", v.Version}
	if v.Revision != "" {
		parts = append(parts, v.Revision[:min(len(v.Revision), 12)])
	}
	return p.write(strings.Join(append(parts, v.Go, v.Platform), " ") + "\n")
}

// ExplanationDocument says what a finding's code means.
type ExplanationDocument struct {
	Code string `json:"code"`
	// Severity is error, warning, info or note.
	Severity string `json:"severity"`
	Title    string `json:"title"`
	// Why says why it matters, Next what to do.
	Why  string `json:"why"`
	Next string `json:"next"`
}

// ExplanationsDocument is every code.
type ExplanationsDocument struct {
	Codes []ExplanationDocument `json:"codes"`
}

// Explanation writes what a code means and what to do.
func (p *Printer) Explanation(e ExplanationDocument) error {
	if p.format != Text {
		return p.document(e)
	}
	return p.write(fmt.Sprintf("%s (%s): %s\n\n%s\n\nnext: %s\n", p.styles.paint(p.styles.strong, e.Code),
		p.styles.paint(p.severity(e.Severity), e.Severity), e.Title, e.Why, p.styles.paint(p.styles.accent, e.Next)))
}

// Explanations lists codes; as a document they bear everything that is known of them.
func (p *Printer) Explanations(codes []ExplanationDocument) error {
	if p.format != Text {
		return p.document(ExplanationsDocument{Codes: codes})
	}
	t := table{head: []string{"CODE", "SEVERITY", "TITLE"}}
	for _, c := range codes {
		t.rows = append(t.rows, []cell{{text: c.Code}, {text: c.Severity, style: p.severity(c.Severity)}, {text: c.Title}})
	}
	return p.write(t.text(p.styles, p.opts.Width))
}
