package policy

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// plainText takes a byte order mark off, gives every line the same end, and refuses what is not UTF-8.
func plainText(file string, data []byte) ([]byte, Errors) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	if utf8.Valid(data) {
		return data, nil
	}
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	line := bytes.Count(data[:at], []byte("\n")) + 1
	return nil, Errors{{File: file, Line: line, Code: CodeRead, Message: "the file is not UTF-8", Hint: "save it as UTF-8"}}
}

// plain refuses what makes a document mean more than it shows: anchors, aliases and tags.
func (d *decoder) plain(n *yaml.Node) {
	what := ""
	switch {
	case n.Kind == yaml.AliasNode:
		what = "the alias *" + clip(n.Value)
	case n.Anchor != "":
		what = "the anchor &" + clip(n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		what = "the tag " + clip(n.Tag)
	}
	if what != "" {
		d.failAt(d.before+n.Line, CodeNotPlain, "", what+" is not allowed", "write the value itself")
	}
	for _, c := range n.Content {
		d.plain(c)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError gives the parser's words a place and, where a tab is to blame, says so.
func syntaxError(file string, c chunk, err error) LoadError {
	line, message := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(message, "\n", " ")); m != nil {
		message = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	e := LoadError{File: file, Code: CodeSyntax, Message: "not YAML: " + clip(message)}
	if at := tabLine(c.text); at > 0 {
		e.Line, e.Hint = c.before+at, "the line is indented with a tab: use spaces"
		return e
	}
	e.Line = c.before + placeOf(c.text, message, line)
	return e
}

var (
	parserFault   = regexp.MustCompile(`^did not find expected (node content|<|'-'|key|',')`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// placeOf mends the line that the parser names: faults of its grammar are counted from 0, and some have no line at all.
func placeOf(text, message string, line int) int {
	if parserFault.MatchString(message) {
		line++
	}
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := strings.Cut(text, "*"+m[1])
		line = strings.Count(before, "\n") + 1
	}
	lines := strings.Count(strings.TrimRight(text, "\n"), "\n") + 1
	return min(line, lines)
}

// tabLine is the first line whose indentation has a tab, or 0.
func tabLine(text string) int {
	n := 0
	for l := range strings.Lines(text) {
		n++
		indent := l[:len(l)-len(strings.TrimLeft(l, " \t"))]
		if strings.Contains(indent, "\t") && strings.TrimSpace(l) != "" {
			return n
		}
	}
	return 0
}
