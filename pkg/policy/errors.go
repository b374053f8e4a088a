package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// LoadError is one thing that is wrong in one file.
type LoadError struct {
	// File is the path as given, or "-"; Line counts from 1 and is 0 where the whole file is meant.
	File string
	Line int
	// Policy is the document as far as it is known.
	Policy Key
	// Field is the path of the field, such as spec.target.service; empty where the document is meant.
	Field string
	// Code is one of the MP1xx codes.
	Code string
	// Message says what is wrong, Hint what is allowed or what to do.
	Message string
	Hint    string
}

// At is file:line, or the file alone.
func (e LoadError) At() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// Error is one line with everything in it.
func (e LoadError) Error() string {
	parts := []string{}
	for _, p := range []string{e.At(), e.Code, e.Field, e.Message} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	s := strings.Join(parts, ": ")
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Errors is everything that is wrong in everything that was read, sorted by file, line and field. Callers turn it into
// findings.
type Errors []LoadError

// Error is one line per entry.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted is a copy in the order of file, line, field and code.
func (e Errors) sorted() Errors {
	out := slices.Clone(e)
	slices.SortStableFunc(out, func(a, b LoadError) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Field, b.Field), strings.Compare(a.Code, b.Code), strings.Compare(a.Message, b.Message))
	})
	return out
}

// orNil keeps a nil list from becoming a non-nil error.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e.sorted()
}
