package policy

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// rules are the limits of one field, from its jsonschema tag.
type rules struct {
	required           bool
	minimum, maximum   string
	enum               []string
	format             string
	minItems, maxItems int
	minProperties      int
	minLength          int
}

// field is one key that a document may have.
type field struct {
	name  string
	index []int
	rules rules
}

// fieldsOf lists the keys of a struct in the order of its fields, embedded structs laid flat.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
			continue
		}
		out = append(out, field{name: name, index: []int{i}, rules: rulesOf(f.Tag.Get("jsonschema"))})
	}
	return out
}

func rulesOf(tag string) rules {
	var r rules
	for part := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			r.required = true
		case "minimum":
			r.minimum = value
		case "maximum":
			r.maximum = value
		case "enum":
			r.enum = append(r.enum, value)
		case "format":
			r.format = value
		case "minItems":
			r.minItems, _ = strconv.Atoi(value)
		case "maxItems":
			r.maxItems, _ = strconv.Atoi(value)
		case "minProperties":
			r.minProperties, _ = strconv.Atoi(value)
		case "minLength":
			r.minLength, _ = strconv.Atoi(value)
		}
	}
	return r
}

// each is the part of the rules that holds for the items of a list.
func (r rules) each() rules {
	return rules{minimum: r.minimum, maximum: r.maximum, enum: r.enum, format: r.format, minLength: r.minLength}
}

// matcher is a format ready for use.
type matcher struct {
	v1alpha1.Format
	re *regexp.Regexp
}

func newMatcher(f v1alpha1.Format) matcher { return matcher{f, regexp.MustCompile(f.Pattern)} }

func (m matcher) matches(s string) bool {
	return (m.MaxLength == 0 || len(s) <= m.MaxLength) && m.re.MatchString(s)
}

// The formats are compiled once, at first use: they never change.
var matchers = sync.OnceValue(func() map[string]matcher { //nolint:gochecknoglobals // a function, never assigned again
	out := map[string]matcher{"label-key": newMatcher(v1alpha1.LabelKey()), "label-value": newMatcher(v1alpha1.LabelValue())}
	for name, f := range v1alpha1.Formats() {
		out[name] = newMatcher(f)
	}
	return out
})
