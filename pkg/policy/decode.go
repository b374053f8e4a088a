package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxFaults is the number of faults after which a file is not read on: it is probably no policy at all.
const maxFaults = 1000

// decoder fills a document from its YAML tree. Every fault is written down with its place and the walk goes on, so that
// one run names all of them.
type decoder struct {
	source Source
	// before is the number of lines of the file in front of the document's text.
	before int
	key    Key
	errs   Errors
}

// fail writes down a fault of a field.
func (d *decoder) fail(code, path, message, hint string) {
	d.failAt(d.source.line(path), code, path, message, hint)
}

func (d *decoder) failAt(line int, code, path, message, hint string) {
	if d.full() {
		return
	}
	d.errs = append(d.errs, LoadError{
		File: d.source.File, Line: line, Policy: d.key, Field: path, Code: code, Message: message, Hint: hint,
	})
}

// full tells that more faults would help nobody.
func (d *decoder) full() bool { return len(d.errs) >= maxFaults }

// mark notes the line of a field.
func (d *decoder) mark(path string, n *yaml.Node) { d.source.Lines[path] = d.before + n.Line }

// failedUnder tells whether a fault was found at a field, inside it, or kept it from being read.
func (d *decoder) failedUnder(path string) bool {
	for _, e := range d.errs {
		unread := e.Code == CodeType || e.Code == CodeMissing
		if e.Field != "" && (isUnder(e.Field, path) || (unread && isUnder(path, e.Field))) {
			return true
		}
	}
	return false
}

// isUnder tells whether a path is the other one or inside it.
func isUnder(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// value decodes a node into v by the type of v.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, r rules) {
	switch {
	case n.Kind == yaml.AliasNode, d.full():
		return // an alias is said already, for the whole document
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.fail(CodeType, path, "has no value", "write a value, {} for an empty object, or remove the line")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, r)
	case isText(v):
		d.text(n, v, path, r)
	case v.Kind() == reflect.Struct:
		d.object(n, v, path)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, r)
	case v.Kind() == reflect.Map:
		d.stringMap(n, v, path, r)
	default:
		d.scalar(n, v, path, r)
	}
}

// isText tells whether a type reads itself from one scalar: durations and percentages.
func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(json.Unmarshaler)
	return ok
}

// object decodes a mapping into a struct.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "an object with keys")
		return
	}
	fields := fieldsOf(v.Type())
	seen := d.keys(n, path, fields)
	for _, f := range fields {
		at := join(path, f.name)
		node, ok := seen[f.name]
		switch {
		case ok:
			d.value(node, v.FieldByIndex(f.index), at, f.rules)
		case f.rules.required && !d.failedUnder(at):
			d.fail(CodeMissing, at, "is required", exampleOf(f))
		}
	}
}

// exampleOf is a hint for a field that is missing.
func exampleOf(f field) string {
	if len(f.rules.enum) > 0 {
		return "allowed: " + strings.Join(f.rules.enum, ", ")
	}
	return "add " + f.name + ":"
}

// keys lists the nodes of the known keys and writes down the others.
func (d *decoder) keys(n *yaml.Node, path string, fields []field) map[string]*yaml.Node {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, pathPart(key))
		if d.twice(seen, key, at) {
			continue
		}
		d.mark(at, key)
		if !contains(names, keyText(key)) {
			d.fail(CodeUnknown, at, fmt.Sprintf("unknown field %q", clip(keyText(key))), unknownHint(at, keyText(key), names))
		}
		seen[keyText(key)] = value
	}
	return seen
}

// twice writes down a key that the mapping has already.
func (d *decoder) twice(seen map[string]*yaml.Node, key *yaml.Node, at string) bool {
	if _, ok := seen[keyText(key)]; !ok {
		return false
	}
	d.failAt(d.before+key.Line, CodeTwice, at, fmt.Sprintf("the key is already in line %d", d.source.line(at)), "keep one of them")
	return true
}

// keyText is a key as text; keys that are no scalars get a name that no field has.
func keyText(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode {
		return "?"
	}
	return key.Value
}

// pathPart is a key as a part of a path: short, and on one line.
func pathPart(key *yaml.Node) string {
	s := clip(keyText(key))
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// unknownHint names the field that was probably meant, or says that it is still to come.
func unknownHint(at, got string, names []string) string {
	for _, later := range laterFields() {
		if at == later {
			return "it comes in a later release; remove it until then"
		}
	}
	return suggest(got, names)
}

// laterFields are fields of the design that this release does not read: it is better to say so than to guess.
func laterFields() []string {
	return []string{"spec.gates", "spec.clusters", "spec.analysis.checks"}
}

// list decodes a sequence into a slice.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, r rules) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, path, "a list")
		return
	}
	if len(n.Content) < r.minItems {
		d.fail(CodeValue, path, "the list is empty", fmt.Sprintf("write at least %d, or remove the line", r.minItems))
	}
	if r.maxItems > 0 && len(n.Content) > r.maxItems {
		d.fail(CodeValue, path, fmt.Sprintf("the list has %d items", len(n.Content)), fmt.Sprintf("at most %d are allowed", r.maxItems))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.mark(at, item)
		d.value(item, out.Index(i), at, r.each())
	}
	v.Set(out)
}

// stringMap decodes a mapping of texts: labels and annotations.
func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, path string, r rules) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "an object of texts, such as {app: cart}")
		return
	}
	if len(n.Content)/2 < r.minProperties {
		d.fail(CodeValue, path, "the object is empty", fmt.Sprintf("write at least %d, or remove the line", r.minProperties))
	}
	out, seen := map[string]string{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := path + "[" + pathPart(key) + "]"
		if d.full() || d.twice(seen, key, at) {
			continue
		}
		d.mark(at, key)
		seen[keyText(key)] = value
		out[keyText(key)] = d.entry(key, value, at, r)
	}
	v.Set(reflect.ValueOf(out))
}

// entry decodes one text of a map and checks both sides where they are labels.
func (d *decoder) entry(key, value *yaml.Node, at string, r rules) string {
	var text string
	keyRules, valueRules := rules{}, rules{}
	if r.format == "labels" {
		keyRules.format, valueRules.format = "label-key", "label-value"
	}
	if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
		d.fail(CodeType, at, "the key is not a text", "put it in quotes")
	} else {
		d.checkText(keyText(key), at, keyRules)
	}
	d.value(value, reflect.ValueOf(&text).Elem(), at, valueRules)
	return text
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
