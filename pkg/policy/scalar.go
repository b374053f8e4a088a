package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// wrongType writes down a node of another type than the field's.
func (d *decoder) wrongType(n *yaml.Node, path, wanted string) {
	hint := ""
	switch {
	case wanted == "a list" && n.Kind == yaml.ScalarNode:
		hint = "write [" + clip(n.Value) + "]"
	case wanted == "a text" && n.Kind == yaml.ScalarNode:
		hint = "write " + strconv.Quote(clip(n.Value)) + " in quotes"
	}
	d.fail(CodeType, path, "is "+nodeWord(n)+", "+wanted+" is wanted", hint)
}

// nodeWord says what a node is.
func nodeWord(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	word := map[string]string{"!!int": "the number", "!!float": "the number", "!!bool": "the truth value"}[n.ShortTag()]
	if word == "" {
		return "the text " + strconv.Quote(clip(n.Value))
	}
	return word + " " + clip(n.Value)
}

// clip keeps messages short whatever is in the file.
func clip(s string) string {
	const longest = 60
	r := []rune(s)
	if len(r) <= longest {
		return s
	}
	return string(r[:longest]) + "…"
}

// scalar decodes texts, truth values and numbers.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, r rules) {
	tag := ""
	if n.Kind == yaml.ScalarNode {
		tag = n.ShortTag()
	}
	switch v.Kind() {
	case reflect.String:
		if tag != "!!str" && tag != "!!timestamp" && !(tag == "!!int" && r.format == "retry-on") {
			d.wrongType(n, path, "a text")
			return
		}
		v.SetString(n.Value)
		d.checkText(n.Value, path, r)
	case reflect.Bool:
		d.truth(n, v, path, tag)
	default:
		d.number(n, v, path, tag, r)
	}
}

// truth decodes true; a false would say the same as a missing line, so it is refused.
func (d *decoder) truth(n *yaml.Node, v reflect.Value, path, tag string) {
	switch {
	case tag != "!!bool":
		d.wrongType(n, path, "true")
	case n.Value != "true" && n.Value != "True" && n.Value != "TRUE":
		d.fail(CodeValue, path, "is false", "write true or remove the line")
	default:
		v.SetBool(true)
	}
}

// number decodes whole numbers and decimals.
func (d *decoder) number(n *yaml.Node, v reflect.Value, path, tag string, r rules) {
	wanted := "a number"
	if v.CanInt() {
		wanted = "a whole number"
	}
	if tag != "!!int" && tag != "!!float" {
		d.wrongType(n, path, wanted)
		return
	}
	var f float64
	if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) || (v.CanInt() && f != math.Trunc(f)) {
		d.wrongType(n, path, wanted)
		return
	}
	if v.CanInt() && (f < math.MinInt32 || f > math.MaxInt32) {
		d.fail(CodeValue, path, "is "+clip(n.Value), between(r.minimum, cmpOr(r.maximum, strconv.Itoa(math.MaxInt32))))
		return
	}
	if v.CanInt() {
		v.SetInt(int64(f))
	} else {
		v.SetFloat(f)
	}
	d.checkNumber(f, n.Value, path, r)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// checkNumber holds a number against the limits of its field.
func (d *decoder) checkNumber(f float64, text, path string, r rules) {
	low, errLow := strconv.ParseFloat(r.minimum, 64)
	high, errHigh := strconv.ParseFloat(r.maximum, 64)
	if (errLow == nil && f < low) || (errHigh == nil && f > high) {
		d.fail(CodeValue, path, "is "+clip(text), between(r.minimum, r.maximum))
	}
}

// between says which values are allowed.
func between(low, high string) string {
	switch {
	case low == "":
		return "at most " + high + " is allowed"
	case high == "":
		return "at least " + low + " is allowed"
	default:
		return "allowed: " + low + " to " + high
	}
}

// text decodes durations and percentages, which read themselves from JSON.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string, r rules) {
	raw, ok := jsonScalar(n)
	if !ok {
		d.wrongType(n, path, map[bool]string{true: "a duration such as 250ms", false: "a percentage such as 2.5"}[isDuration(v)])
		return
	}
	if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
		d.fail(CodeType, path, clipError(err), "")
		return
	}
	switch value := v.Interface().(type) {
	case v1alpha1.Duration:
		d.checkDuration(value, n.Value, path, r)
	case v1alpha1.Percent:
		d.checkNumber(float64(value), n.Value, path, r)
	}
}

func clipError(err error) string {
	const longest = 200
	if s := []rune(err.Error()); len(s) > longest {
		return string(s[:longest]) + "…"
	}
	return err.Error()
}

func isDuration(v reflect.Value) bool {
	_, ok := v.Interface().(v1alpha1.Duration)
	return ok
}

// jsonScalar is a text or a finite number as JSON.
func jsonScalar(n *yaml.Node) ([]byte, bool) {
	if n.Kind != yaml.ScalarNode {
		return nil, false
	}
	switch n.ShortTag() {
	case "!!str":
		raw, err := json.Marshal(n.Value)
		return raw, err == nil
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err != nil {
			return nil, false
		}
		raw, err := json.Marshal(f)
		return raw, err == nil
	}
	return nil, false
}

func (d *decoder) checkDuration(value v1alpha1.Duration, text, path string, r rules) {
	low, errLow := time.ParseDuration(r.minimum)
	high, errHigh := time.ParseDuration(r.maximum)
	if (errLow == nil && value.Duration < low) || (errHigh == nil && value.Duration > high) {
		d.fail(CodeValue, path, "is "+clip(text), between(r.minimum, r.maximum))
	}
}

// checkText holds a text against the list or the format of its field.
func (d *decoder) checkText(s, path string, r rules) {
	if len(r.enum) > 0 && !contains(r.enum, s) {
		d.fail(CodeValue, path, "is "+strconv.Quote(clip(s)), suggest(s, r.enum))
	}
	if len(s) < r.minLength {
		d.fail(CodeValue, path, "is empty", "write a text")
	}
	m, ok := matchers()[r.format]
	if ok && (!m.matches(s) || (r.format == "cidr" && !isAddress(s))) {
		d.fail(CodeValue, path, fmt.Sprintf("is %q", clip(s)), "wanted: "+m.Says)
	}
}

// isAddress tells whether a text is an address or a range of addresses.
func isAddress(s string) bool {
	_, errRange := netip.ParsePrefix(s)
	_, errAddress := netip.ParseAddr(s)
	return errRange == nil || errAddress == nil
}
