package printer

import (
	"errors"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// Problem writes the error that ends a command, with what to do next: the hints given, and those the error itself
// knows. It is the only place that prints an error; it always writes text, since programs read the exit code and the
// document on standard output.
func (p *Printer) Problem(err error, next ...string) {
	if err == nil {
		return
	}
	var out lines
	if p.opts.Live {
		out.WriteString(clearLine) // a line of events may stand there unfinished
	}
	out.add("%s %s", p.styles.paint(p.styles.bad, "error:"), oneLine(err.Error()))
	for _, d := range details(err) {
		out.add("  %s", oneLine(d))
	}
	for _, n := range next {
		if n != "" {
			out.add("next: %s", p.styles.paint(p.styles.accent, oneLine(n)))
		}
	}
	_ = p.write(out.String())
}

// details are the names that an error's one line leaves out.
func details(err error) []string {
	var stragglers *rollout.StragglersError
	if errors.As(err, &stragglers) && len(stragglers.Proof.Stragglers) > 5 {
		return []string{"missing: " + some(stragglers.Proof.Stragglers, 50)}
	}
	var rejected *rollout.RejectedError
	if errors.As(err, &rejected) {
		var out []string
		for _, r := range rejected.Proof.Rejected[min(1, len(rejected.Proof.Rejected)):] {
			out = append(out, r.Proxy+" says: "+r.Message)
		}
		return out[:min(len(out), 10)]
	}
	return nil
}
