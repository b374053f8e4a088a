package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// decoder fills a document from its YAML tree. Every fault is written down with its place and the walk goes on, so that
// one run names all of them.
type decoder struct {
	file string
	// before is the number of lines of the file in front of the document's text.
	before int
	lines  map[string]int
	key    Key
	errs   Errors
}

// fail writes down a fault of a field.
func (d *decoder) fail(code, path, message, hint string) {
	line := 0
	for f := path; ; f = parentField(f) {
		if at, ok := d.lines[f]; ok {
			line = at
			break
		}
		if f == "" {
			break
		}
	}
	d.errs = append(d.errs, LoadError{
		File: d.file, Line: line, Policy: d.key, Field: path, Code: code, Message: message, Hint: hint,
	})
}

// failedUnder tells whether a fault was found at a field or inside it.
func (d *decoder) failedUnder(path string) bool {
	for _, e := range d.errs {
		if rest, ok := strings.CutPrefix(e.Field, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// value decodes a node into v by the type of v.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, r rules) {
	switch {
	case n.Kind == yaml.AliasNode:
		return // said already, for the whole document
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
		case f.rules.required:
			d.fail(CodeMissing, at, "is required", d.exampleOf(f))
		}
	}
}

// exampleOf is a hint for a field that is missing.
func (d *decoder) exampleOf(f field) string {
	switch {
	case len(f.rules.enum) > 0:
		return "allowed: " + strings.Join(f.rules.enum, ", ")
	case f.name == "apiVersion":
		return "write apiVersion: " + v1alpha1.APIVersion
	default:
		return "add " + f.name + ":"
	}
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
		at := join(path, keyText(key))
		if d.twice(seen, key, at) {
			continue
		}
		d.lines[at] = d.before + key.Line
		if !contains(names, keyText(key)) {
			d.fail(CodeUnknown, at, fmt.Sprintf("unknown field %q", keyText(key)), unknownHint(at, keyText(key), names))
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
	d.errs = append(d.errs, LoadError{
		File: d.file, Line: d.before + key.Line, Policy: d.key, Field: at, Code: CodeTwice,
		Message: fmt.Sprintf("the key is already in line %d", d.lines[at]), Hint: "keep one of them",
	})
	return true
}

// keyText is a key as text; keys that are no scalars get a name that no field has.
func keyText(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode {
		return "?"
	}
	return key.Value
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
		d.lines[at] = d.before + item.Line
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
		at := path + "[" + keyText(key) + "]"
		if d.twice(seen, key, at) {
			continue
		}
		d.lines[at] = d.before + key.Line
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
