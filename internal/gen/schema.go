package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// schemaID is where a schema says it lives.
const schemaID = "https://meshpol.io/schema/v1alpha1/"

// kind is a kind of document with its type.
type kind struct {
	name   string
	object any
	policy *policy.Kind
}

// kinds are all kinds of documents, policies first.
func kinds() []kind {
	var out []kind
	for _, k := range policy.Kinds() {
		out = append(out, kind{k.Name, k.New(), &k})
	}
	return append(out, kind{policy.RolloutKind, &v1alpha1.Rollout{}, nil})
}

// fileName is the name of a kind's schema without its ending.
func (k kind) fileName() string { return strings.ToLower(k.name) }

// schemas are the schemas by file name: one per kind, and one that takes them all, for editors.
func schemas(c comments) map[string]*jsonschema.Schema {
	out := map[string]*jsonschema.Schema{}
	all := &jsonschema.Schema{Version: jsonschema.Version, ID: schemaID + "all.json", Title: "any document of meshpol"}
	for _, k := range kinds() {
		out[k.fileName()] = schemaOf(k, c)
		all.OneOf = append(all.OneOf, &jsonschema.Schema{Ref: k.fileName() + ".json"})
	}
	out["all"] = all
	return out
}

// schemaOf reflects one kind and adds what tags cannot say.
func schemaOf(k kind, c comments) *jsonschema.Schema {
	r := &jsonschema.Reflector{
		ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: values,
		LookupComment: c.meaning,
	}
	s := r.Reflect(k.object)
	s.ID, s.Title = jsonschema.ID(schemaID+k.fileName()+".json"), k.name
	t := reflect.TypeOf(k.object).Elem()
	refine(s, t, s.Definitions)
	setConst(s, "apiVersion", v1alpha1.APIVersion)
	setConst(s, "kind", k.name)
	together(s.Definitions)
	if k.policy != nil {
		narrowTarget(s.Definitions, *k.policy)
	}
	return s
}

// values are the types that read themselves from one scalar.
func values(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[v1alpha1.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: v1alpha1.DurationPattern}
	case reflect.TypeFor[v1alpha1.Percent]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "number"}, {Type: "string", Pattern: v1alpha1.PercentPattern}}}
	}
	return nil
}

func setConst(s *jsonschema.Schema, key string, value any) {
	p, _ := s.Properties.Get(key)
	p.Const = value
}

// narrowTarget leaves in the target what the kind may have.
func narrowTarget(defs jsonschema.Definitions, k policy.Kind) {
	target := defs["Target"]
	keep := slices.Clone(k.Targets)
	if slices.Contains(keep, "service") {
		keep = append(keep, "port")
	}
	if k.Routes {
		keep = append(keep, "routes")
	}
	if slices.Contains(keep, "gateway") {
		keep = append(keep, "host")
	}
	var drop []string
	for p := target.Properties.Oldest(); p != nil; p = p.Next() {
		if !slices.Contains(keep, p.Key) {
			drop = append(drop, p.Key)
		}
	}
	for _, key := range drop {
		target.Properties.Delete(key)
		delete(target.DependentRequired, key)
	}
	target.OneOf = nil
	for _, name := range k.Targets {
		if name == "host" && slices.Contains(k.Targets, "gateway") {
			target.OneOf = append(target.OneOf, &jsonschema.Schema{Required: []string{"host"}, Not: &jsonschema.Schema{Required: []string{"gateway"}}})
			continue
		}
		target.OneOf = append(target.OneOf, &jsonschema.Schema{Required: []string{name}})
	}
	dropUnused(defs, drop)
}

// dropUnused takes definitions out that only the dropped targets needed.
func dropUnused(defs jsonschema.Definitions, dropped []string) {
	for key, def := range map[string]string{"routes": "RouteRef", "workload": "WorkloadRef"} {
		if slices.Contains(dropped, key) {
			delete(defs, def)
		}
	}
}

// indented is JSON as it is committed.
func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return out.Bytes(), err
}
