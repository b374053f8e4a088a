package printer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// contextLines are shown around a change: enough to see which route or match it is in.
const contextLines = 4

// serverFields are the metadata that the API server writes: they are no part of what a person asked for.
func serverFields() [][]string {
	return [][]string{
		{"metadata", "managedFields"},
		{"metadata", "resourceVersion"},
		{"metadata", "uid"},
		{"metadata", "generation"},
		{"metadata", "creationTimestamp"},
		{"metadata", "selfLink"},
		{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
		{"status"},
	}
}

// clean is a copy of an object without what the API server writes; nil for nil.
func clean(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	content := o.DeepCopy().Object
	for _, path := range serverFields() {
		unstructured.RemoveNestedField(content, path...)
	}
	if notes, found, _ := unstructured.NestedMap(content, "metadata", "annotations"); found && len(notes) == 0 {
		unstructured.RemoveNestedField(content, "metadata", "annotations")
	}
	return content
}

// objectText is the YAML that is compared; empty for an object that does not exist.
func objectText(o *unstructured.Unstructured) (string, error) {
	content := clean(o)
	if content == nil {
		return "", nil
	}
	b, err := yaml.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("writing %s %s/%s as YAML: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
	}
	return string(b), nil
}

// change is the operation of a diff in the field's words, with its hunks.
type change struct{ op, hunks string }

// changeOf compares an object before and after a step.
func changeOf(d ObjectDiff) (change, error) {
	before, err := objectText(d.Before)
	if err != nil {
		return change{}, err
	}
	after, err := objectText(d.After)
	if err != nil {
		return change{}, err
	}
	c := change{op: opOf(before, after)}
	c.hunks, err = difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: splitLines(before), B: splitLines(after), Context: contextLines})
	if err != nil {
		return change{}, fmt.Errorf("comparing %s: %w", d.Ref, err)
	}
	return c, nil
}

func opOf(before, after string) string {
	switch {
	case before == after:
		return "unchanged"
	case before == "":
		return "created"
	case after == "":
		return "deleted"
	default:
		return "configured"
	}
}

// splitLines keeps the line ends; an absent object has no line at all (difflib's own splitter makes one of it).
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return slices.Collect(strings.Lines(text))
}

// paintDiff colours the lines of hunks and indents them.
func (s styles) paintDiff(hunks, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(hunks) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(text, "@@"):
			text = s.paint(s.accent, text)
		case strings.HasPrefix(text, "+"):
			text = s.paint(s.good, text)
		case strings.HasPrefix(text, "-"):
			text = s.paint(s.gone, text)
		}
		b.WriteString(strings.TrimRight(indent+text, " ") + "\n")
	}
	return b.String()
}
