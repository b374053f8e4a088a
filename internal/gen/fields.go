package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// page writes the reference of all kinds.
type page struct {
	comments comments
	// examples are the texts of examples/kinds by file name.
	examples map[string]string
	out      strings.Builder
	// told are the types that are written already, waiting those that are to come.
	told    map[reflect.Type]bool
	waiting []reflect.Type
}

// fieldsPage is docs/reference/policies.md.
func fieldsPage(c comments, examples map[string]string) []byte {
	p := &page{comments: c, examples: examples, told: map[reflect.Type]bool{}}
	p.out.WriteString(intro)
	for _, k := range kinds() {
		p.kind(k)
	}
	p.line("## Shared parts\n")
	p.typeOf(reflect.TypeFor[v1alpha1.ObjectMeta]())
	for len(p.waiting) > 0 {
		t := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.line("### %s\n", t.Name())
		p.line("%s\n", p.comments.meaning(t, ""))
		p.fields(t)
	}
	return []byte(strings.TrimRight(p.out.String(), "\n") + "\n")
}

const intro = `# Kinds and fields

Generated from the types in ` + "`pkg/policy/v1alpha1`" + ` by ` + "`go run ./internal/gen`" + `. Do not edit.

Every document has ` + "`apiVersion: " + v1alpha1.APIVersion + "`" + `, a ` + "`kind`" + `, ` + "`metadata`" + ` and a ` + "`spec`" + `.
Reading is strict: an unknown field is an error. For editors there is a JSON Schema of every kind in ` + "`schema/`" + `, and
` + "`schema/all.json`" + ` for files that hold several:

` + "```yaml" + `
# yaml-language-server: $schema=docs/reference/schema/all.json
` + "```" + `

Durations have a unit: ` + "`250ms`, `1.5s`, `5m`, `1h30m`" + `. Percentages are written ` + "`25`, `2.5` or `25%`" + `.

`

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

// kind writes one kind: its own fields in full, shared types by a link.
func (p *page) kind(k kind) {
	t := reflect.TypeOf(k.object).Elem()
	spec, _ := t.FieldByName("Spec")
	p.line("## %s\n", k.name)
	p.line("%s %s\n", p.comments.meaning(t, ""), p.comments.meaning(spec.Type, ""))
	if k.policy != nil {
		side := "on the " + string(k.policy.Side) + " side"
		if k.policy.Side == policy.EitherSide {
			side = "on the client side with `client`, on the server side with `mode`"
		}
		p.line("Acts %s. Targets: %s.\n", side, strings.Join(k.policy.Targets, ", "))
	}
	p.line("Schema: [schema/%s.json](schema/%s.json)\n", k.fileName(), k.fileName())
	p.fields(spec.Type)
	p.line("```yaml\n%s```\n", p.examples[k.fileName()])
}

// fields writes the table of a type's fields.
func (p *page) fields(t reflect.Type) {
	if t.NumField() == 0 {
		p.line("It has no fields: write `{}`.\n")
		return
	}
	p.line("| field | type | limits | meaning |\n|---|---|---|---|")
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p.line("| `%s` | %s | %s | %s |", name, p.typeOf(f.Type), limits(f), cell(p.comments.meaning(t, f.Name)))
	}
	p.line("")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// typeOf names a type in the words of a file, and puts structs on the list of what is to be told.
func (p *page) typeOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return p.typeOf(t.Elem())
	case t == reflect.TypeFor[v1alpha1.Duration]():
		return "duration"
	case t == reflect.TypeFor[v1alpha1.Percent]():
		return "percentage"
	case t.Kind() == reflect.Slice:
		return "list of " + p.typeOf(t.Elem())
	case t.Kind() == reflect.Struct:
		if !p.told[t] {
			p.told[t] = true
			p.waiting = append(p.waiting, t)
		}
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
	}
	return map[reflect.Kind]string{
		reflect.String: "text", reflect.Int32: "whole number", reflect.Float64: "number", reflect.Bool: "true", reflect.Map: "texts by name",
	}[t.Kind()]
}

// limits are the limits of a field's tag in words.
func limits(f reflect.StructField) string {
	var out, words []string
	tag := tags(f)
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		if word, ok := strings.CutPrefix(part, "enum="); ok {
			words = append(words, "`"+word+"`")
		}
	}
	if _, ok := tag["required"]; ok {
		out = append(out, "required")
	}
	if len(words) > 0 {
		out = append(out, strings.Join(words, ", "))
	}
	out = append(out, rangeText(tag["minimum"], tag["maximum"], "")...)
	out = append(out, rangeText(tag["minItems"], tag["maxItems"], " long")...)
	if n := tag["minProperties"]; n != "" {
		out = append(out, "at least "+n)
	}
	if format, ok := v1alpha1.Formats()[tag["format"]]; ok && tag["format"] != "retry-on" {
		out = append(out, format.Says)
	}
	return cell(strings.Join(out, "; "))
}

func rangeText(low, high, unit string) []string {
	switch {
	case low == "" && high == "":
		return nil
	case high == "":
		return []string{"at least " + low + unit}
	case low == "":
		return []string{"at most " + high + unit}
	}
	return []string{low + " to " + high + unit}
}
