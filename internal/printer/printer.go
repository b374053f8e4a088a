package printer

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// Format is how an answer is written.
type Format string

// The formats. JSONLines is for events; documents under it are compact JSON on one line.
const (
	Text      Format = ""
	YAML      Format = "yaml"
	JSON      Format = "json"
	JSONLines Format = "jsonl"
)

// ParseFormat reads the value of -o.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Text, YAML, JSON, JSONLines:
		return f, nil
	case "text":
		return Text, nil
	}
	return Text, fmt.Errorf("output format %q is not known: use text, yaml, json or jsonl", s)
}

// Options are facts about the place that is written to.
type Options struct {
	// Colour allows colours: a terminal, and no NO_COLOR in the environment.
	Colour bool
	// Live says that it is a terminal on which a line may overwrite itself.
	Live bool
	// Quiet leaves out of the events what needs nobody's attention.
	Quiet bool
	// Width is the width of the terminal in columns; 0: not known, nothing is cut.
	Width int
	// Several names the target in every event line, since more than one moves.
	Several bool
}

// Printer writes answers and events to one writer.
type Printer struct {
	out    io.Writer
	format Format
	opts   Options
	styles styles
}

// New is a Printer on a writer.
func New(out io.Writer, format Format, opts Options) *Printer {
	return &Printer{out: out, format: format, opts: opts, styles: newStyles(opts.Colour)}
}

// Events is a sink that writes events as lines, or as JSON lines where the format is jsonl.
func (p *Printer) Events() rollout.Sink {
	if p.format == JSONLines {
		return &jsonLines{out: p.out}
	}
	return &textLines{out: p.out, opts: p.opts, styles: p.styles, runs: map[string]*run{}}
}

// document writes v in the printer's format, which is not Text.
func (p *Printer) document(v any) error {
	b, err := p.encode(v)
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return p.write(string(b))
}

func (p *Printer) encode(v any) ([]byte, error) {
	switch p.format {
	case YAML:
		return yaml.Marshal(v)
	case JSONLines:
		b, err := json.Marshal(v)
		return append(b, '\n'), err
	default:
		b, err := json.MarshalIndent(v, "", "  ")
		return append(b, '\n'), err
	}
}

func (p *Printer) write(text string) error {
	if _, err := io.WriteString(p.out, text); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// lines collects text before it is written at once, so that a broken pipe is one error.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) {
	fmt.Fprintf(&l.Builder, format, args...)
	l.WriteByte('\n')
}
