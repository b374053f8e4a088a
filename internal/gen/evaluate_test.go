package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// evaluator judges values by a JSON Schema. It knows the keywords that the schemas use and stops at any other, so that
// no rule of a schema is ever passed over.
type evaluator struct {
	t    testing.TB
	root map[string]any
}

// newEvaluator takes a schema as it is committed.
func newEvaluator(t testing.TB, schema any) evaluator {
	text, err := indented(schema)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return evaluator{t, root}
}

// accepts tells whether a value fits a schema.
func (e evaluator) accepts(s map[string]any, v any) bool {
	for key, arg := range s {
		if !e.keyword(s, key, arg, v) {
			return false
		}
	}
	return true
}

func (e evaluator) keyword(s map[string]any, key string, arg, v any) bool {
	switch key {
	case "$schema", "$id", "$defs", "title", "description", "examples", "default":
		return true
	case "$ref":
		name := strings.TrimPrefix(arg.(string), "#/$defs/")
		return e.accepts(e.root["$defs"].(map[string]any)[name].(map[string]any), v)
	case "type":
		return isType(arg.(string), v)
	case "const":
		return reflect.DeepEqual(arg, v)
	case "enum":
		return slices.ContainsFunc(arg.([]any), func(x any) bool { return reflect.DeepEqual(x, v) })
	case "oneOf":
		return e.count(arg, v) == 1
	case "anyOf":
		return e.count(arg, v) > 0
	case "allOf":
		return e.count(arg, v) == len(arg.([]any))
	case "not":
		return !e.accepts(arg.(map[string]any), v)
	case "pattern", "minLength", "maxLength":
		text, ok := v.(string)
		return !ok || textKeyword(key, arg, text)
	case "minimum", "maximum":
		n, ok := number(v)
		limit, _ := number(arg)
		return !ok || (key == "minimum" && n >= limit) || (key == "maximum" && n <= limit)
	case "items", "minItems", "maxItems":
		list, ok := v.([]any)
		return !ok || e.listKeyword(key, arg, list)
	default:
		object, ok := v.(map[string]any)
		return !ok || e.objectKeyword(s, key, arg, object)
	}
}

func (e evaluator) count(schemas, v any) int {
	n := 0
	for _, s := range schemas.([]any) {
		if e.accepts(s.(map[string]any), v) {
			n++
		}
	}
	return n
}

func textKeyword(key string, arg any, text string) bool {
	switch key {
	case "pattern":
		return regexp.MustCompile(arg.(string)).MatchString(text)
	case "minLength":
		return utf8.RuneCountInString(text) >= int(arg.(float64))
	default:
		return utf8.RuneCountInString(text) <= int(arg.(float64))
	}
}

func (e evaluator) listKeyword(key string, arg any, list []any) bool {
	switch key {
	case "minItems":
		return len(list) >= int(arg.(float64))
	case "maxItems":
		return len(list) <= int(arg.(float64))
	}
	return !slices.ContainsFunc(list, func(v any) bool { return !e.accepts(arg.(map[string]any), v) })
}

func (e evaluator) objectKeyword(s map[string]any, key string, arg any, object map[string]any) bool {
	switch key {
	case "properties":
		for name, sub := range arg.(map[string]any) {
			if v, ok := object[name]; ok && !e.accepts(sub.(map[string]any), v) {
				return false
			}
		}
		return true
	case "additionalProperties":
		known, _ := s["properties"].(map[string]any)
		for name, v := range object {
			if _, ok := known[name]; !ok && (arg == false || !e.accepts(arg.(map[string]any), v)) {
				return false
			}
		}
		return true
	case "propertyNames":
		for name := range object {
			if !e.accepts(arg.(map[string]any), name) {
				return false
			}
		}
		return true
	case "required":
		return hasAll(object, arg)
	case "dependentRequired":
		for name, needs := range arg.(map[string]any) {
			if _, ok := object[name]; ok && !hasAll(object, needs) {
				return false
			}
		}
		return true
	case "minProperties":
		return len(object) >= int(arg.(float64))
	}
	e.t.Fatalf("the schema has the keyword %s, which this test does not know", key)
	return false
}

func hasAll(object map[string]any, names any) bool {
	for _, n := range names.([]any) {
		if _, ok := object[n.(string)]; !ok {
			return false
		}
	}
	return true
}

func isType(name string, v any) bool {
	n, isNumber := number(v)
	switch name {
	case "object":
		_, ok := v.(map[string]any)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "string":
		_, ok := v.(string)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "number":
		return isNumber
	case "integer":
		return isNumber && n == float64(int64(n))
	}
	panic(fmt.Sprintf("type %s", name))
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	}
	return 0, false
}
