package policy

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// document is one decoded document: a policy or a rollout, or neither where it has faults.
type document struct {
	policy  *Policy
	rollout *RolloutDoc
	errs    Errors
}

// decodeFile decodes every document of a file.
func decodeFile(file string, data []byte, namespace string) ([]document, Errors) {
	data, errs := plainText(file, data)
	if errs != nil {
		return nil, errs
	}
	var docs []document
	found := 0
	for _, part := range split(data) {
		nodes, err := parse(file, part)
		errs = append(errs, err...)
		for _, n := range nodes {
			d := decodeDocument(file, part.before, n, namespace)
			docs, found = append(docs, d), found+len(d.errs)
		}
		if found+len(errs) >= maxFaults {
			return docs, append(errs, LoadError{File: file, Line: part.before + 1, Code: CodeRead,
				Message: fmt.Sprintf("%d faults or more: the rest of the file is not read", maxFaults), Hint: "mend these first"})
		}
	}
	if len(docs) == 0 && len(errs) == 0 {
		errs = Errors{{File: file, Code: CodeEmpty, Message: "there is no document in the file",
			Hint: "write a policy or a Rollout into it, or leave the file out"}}
	}
	return docs, errs
}

// chunk is the text between two document marks.
type chunk struct {
	before int // lines in front of it
	text   string
}

// split cuts a file at its document marks, so that a syntax error in one document does not hide the faults of the next.
func split(data []byte) []chunk {
	var out []chunk
	var text strings.Builder
	start, line, written := 0, 0, false
	for l := range strings.Lines(string(data)) {
		if isMark(l) && written {
			out = append(out, chunk{start, text.String()})
			text.Reset()
			start = line
		}
		text.WriteString(l)
		written = written || isMark(l) || isContent(l)
		line++
	}
	return append(out, chunk{start, text.String()})
}

// isMark tells whether a line starts a document. YAML allows this nowhere else at the beginning of a line.
func isMark(line string) bool {
	rest, ok := strings.CutPrefix(line, "---")
	return ok && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n"))
}

// isContent tells whether a line is part of a document, not a directive or comment in front of its mark.
func isContent(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '%' && line[0] != '#'
}

// parse reads the YAML trees of a chunk: one as a rule, more where "..." ends documents, none where it is blank.
func parse(file string, c chunk) (nodes []*yaml.Node, errs Errors) {
	defer func() {
		// The parser is not ours: whatever it does on broken input, the person gets a message with a place.
		if r := recover(); r != nil {
			errs = Errors{{File: file, Line: c.before + 1, Code: CodeSyntax, Message: fmt.Sprintf("the YAML parser gave up: %v", r)}}
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(c.text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return nodes, errs
		}
		if err != nil {
			return nodes, append(errs, syntaxError(file, c, err))
		}
		if len(n.Content) == 0 {
			continue
		}
		if root := n.Content[0]; root.Kind != yaml.ScalarNode || root.ShortTag() != "!!null" {
			nodes = append(nodes, root)
		}
	}
}

// decodeDocument decodes a tree into the type that its kind names.
func decodeDocument(file string, before int, n *yaml.Node, namespace string) document {
	d := &decoder{before: before, source: Source{File: file, Line: before + n.Line, Lines: map[string]int{}}}
	d.plain(n)
	d.key = headOf(n, namespace)
	object := d.newObject(n)
	if object == nil {
		return document{errs: d.errs}
	}
	d.object(n, reflect.ValueOf(object).Elem(), "")
	object.Meta().Namespace = cmpOr(object.Meta().Namespace, namespace)
	d.check(object)
	if len(d.errs) > 0 {
		return document{errs: d.errs}
	}
	return finish(object, d.source)
}

// finish fills in defaults.
func finish(object v1alpha1.Object, source Source) document {
	meta := object.Meta()
	switch o := object.(type) {
	case *v1alpha1.Rollout:
		o.Spec = v1alpha1.DefaultRolloutSpec(o.Spec)
		for i := range o.Spec.Policies {
			o.Spec.Policies[i].Namespace = cmpOr(o.Spec.Policies[i].Namespace, meta.Namespace)
		}
		return document{rollout: &RolloutDoc{Object: o, Source: source}}
	case v1alpha1.PolicyObject:
		key := Key{Kind: o.Type().Kind, Namespace: meta.Namespace, Name: meta.Name}
		return document{policy: &Policy{Key: key, Object: o, Source: source}}
	}
	return document{}
}

// headOf reads kind, namespace and name without any check, so that every message can name the document.
func headOf(n *yaml.Node, namespace string) Key {
	meta := child(n, "metadata")
	return Key{
		Kind: scalarText(child(n, "kind")), Name: scalarText(child(meta, "name")),
		Namespace: cmpOr(scalarText(child(meta, "namespace")), namespace),
	}
}

// child is the value of a key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if keyText(n.Content[i]) == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func scalarText(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return clip(n.Value)
}

// newObject makes the type that the document's apiVersion and kind name, or writes down why there is none.
func (d *decoder) newObject(n *yaml.Node) v1alpha1.Object {
	if n.Kind != yaml.MappingNode {
		d.fail(CodeType, "", "the document is "+nodeWord(n)+", an object with apiVersion and kind is wanted", "")
		return nil
	}
	version, kind := d.headText(n, "apiVersion"), d.headText(n, "kind")
	foreign := version != "" && !strings.HasPrefix(version, "meshpol.io/")
	if version != v1alpha1.APIVersion {
		d.wrongVersion(version, kind)
	}
	if foreign {
		return nil
	}
	if kind == RolloutKind {
		return &v1alpha1.Rollout{}
	}
	if k, ok := KindByName(kind); ok {
		return k.New()
	}
	if kind == "" {
		d.fail(CodeKind, "kind", "is missing", suggest("", documentKinds()))
	} else {
		d.fail(CodeKind, "kind", fmt.Sprintf("there is no kind %q", clip(kind)), suggest(kind, documentKinds()))
	}
	return nil
}

// headText is the text of a key of the document itself, with its line.
func (d *decoder) headText(n *yaml.Node, key string) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if keyText(n.Content[i]) == key {
			d.mark(key, n.Content[i])
		}
	}
	return scalarText(child(n, key))
}

func (d *decoder) wrongVersion(version, kind string) {
	switch {
	case version == "":
		d.fail(CodeAPIVersion, "apiVersion", "is missing", "write apiVersion: "+v1alpha1.APIVersion)
	case strings.HasPrefix(version, "meshpol.io/"):
		d.fail(CodeAPIVersion, "apiVersion", fmt.Sprintf("is %q", version), "write "+v1alpha1.APIVersion)
	default:
		d.fail(CodeAPIVersion, "apiVersion", fmt.Sprintf("%s of %q is not a document of meshpol", cmpOr(kind, "a document"), version),
			"only "+v1alpha1.APIVersion+" is read: keep other documents in a directory of their own")
	}
}
