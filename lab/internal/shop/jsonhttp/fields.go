// Package jsonhttp reads JSON field by field, so that a bad request is answered with the name of the field and what is
// allowed in it, and writes JSON answers.
package jsonhttp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Duration is a duration written the Go way: "150ms", "2s".
type Duration time.Duration

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a string.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	*d = Duration(parsed)
	return err
}

// FieldError is a field that cannot be accepted. Callers answer it with 400.
type FieldError struct {
	// Field is the path of the field, such as "[0].failRatio".
	Field string `json:"field"`
	// Got is what was there.
	Got string `json:"got"`
	// Allowed says what may be there.
	Allowed string `json:"allowed"`
}

// Error says which field, what it was and what is allowed.
func (e *FieldError) Error() string {
	return fmt.Sprintf("field %s is %s; allowed: %s", e.Field, e.Got, e.Allowed)
}

// Refuse is a FieldError for a value that was read but is not allowed.
func Refuse(field string, got any, allowed string) error {
	if text, ok := got.(string); ok {
		got = fmt.Sprintf("%q", text)
	}
	return &FieldError{Field: field, Got: fmt.Sprint(got), Allowed: allowed}
}

// Object fills the struct that into points at from a JSON object. Every name must be the json tag of a field. Path
// stands before the names in errors; it is empty for the outermost object.
func Object(data []byte, path string, into any) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return &FieldError{Field: orBody(path), Got: short(data), Allowed: "a JSON object"}
	}
	fields := tagged(reflect.ValueOf(into).Elem())
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		place := strings.TrimPrefix(path+"."+name, ".")
		field, ok := fields[name]
		if !ok {
			allowed := "a field called " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
			return &FieldError{Field: place, Got: "not known", Allowed: allowed}
		}
		if err := json.Unmarshal(raw[name], field.Addr().Interface()); err != nil {
			return &FieldError{Field: place, Got: short(raw[name]), Allowed: describe(field.Type())}
		}
	}
	return nil
}

// List reads a JSON array of objects.
func List[T any](data []byte) ([]T, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return nil, &FieldError{Field: orBody(""), Got: short(data), Allowed: "a JSON array of objects"}
	}
	out := make([]T, len(raw))
	for i, item := range raw {
		if err := Object(item, fmt.Sprintf("[%d]", i), &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func orBody(path string) string {
	if path == "" {
		return "(the whole body)"
	}
	return path
}

// short is a piece of the input that fits in a message.
func short(data []byte) string {
	text := string(bytes.TrimSpace(data))
	if text == "" {
		return "empty"
	}
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

func tagged(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		out[name] = v.Field(i)
	}
	return out
}

func describe(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return `a duration as a string, such as "150ms" or "2s"`
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list, each " + describe(t.Elem())
	case reflect.Map:
		return "an object, each value " + describe(t.Elem())
	default:
		return "a " + t.String()
	}
}
