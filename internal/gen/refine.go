package main

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// refine adds the limits that the library does not take from the tags: those of percentages, labels, formats by name,
// 32-bit numbers and truth values. It goes down into every definition once.
func refine(s *jsonschema.Schema, t reflect.Type, defs jsonschema.Definitions) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			refine(s, f.Type, defs)
			continue
		}
		prop, ok := s.Properties.Get(name)
		if !ok {
			continue
		}
		if of := limit(prop, f.Type, tags(f)); of.Kind() == reflect.Struct && of != reflect.TypeFor[v1alpha1.Duration]() {
			if def := defs[of.Name()]; def != nil {
				refine(def, of, defs)
			}
		}
	}
}

// tags are the parts of a field's jsonschema tag that have one value.
func tags(f reflect.StructField) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		key, value, _ := strings.Cut(part, "=")
		out[key] = value
	}
	return out
}

// limit refines a property and returns the type at the end of its pointers and lists.
func limit(p *jsonschema.Schema, t reflect.Type, tag map[string]string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice:
		return limit(p.Items, t.Elem(), tag)
	case t == reflect.TypeFor[v1alpha1.Percent]():
		bound(p.OneOf[0], tag)
	case t.Kind() == reflect.Int32:
		p.Minimum, p.Maximum = json.Number(strconv.Itoa(math.MinInt32)), json.Number(strconv.Itoa(math.MaxInt32))
		bound(p, tag)
	case t.Kind() == reflect.Float64:
		bound(p, tag)
	case t.Kind() == reflect.Bool:
		p.Enum = []any{true}
	case t.Kind() == reflect.Map:
		labels(p, tag)
	case t.Kind() == reflect.String:
		format(p, tag["format"])
	}
	return t
}

func bound(p *jsonschema.Schema, tag map[string]string) {
	if v := tag["minimum"]; v != "" {
		p.Minimum = json.Number(v)
	}
	if v := tag["maximum"]; v != "" {
		p.Maximum = json.Number(v)
	}
}

// labels bounds both sides of a map.
func labels(p *jsonschema.Schema, tag map[string]string) {
	if n, err := strconv.ParseUint(tag["minProperties"], 10, 64); err == nil {
		p.MinProperties = &n
	}
	if tag["format"] == "labels" {
		p.PropertyNames = formatted(v1alpha1.LabelKey())
		p.AdditionalProperties = formatted(v1alpha1.LabelValue())
		p.AdditionalProperties.Type = "string"
	}
}

// format turns the name of a format into its pattern. A status code to retry on may be written as a number.
func format(p *jsonschema.Schema, name string) {
	f, ok := v1alpha1.Formats()[name]
	if !ok {
		return
	}
	with := formatted(f)
	p.Format, p.Pattern, p.MaxLength = "", with.Pattern, with.MaxLength
	if name == "retry-on" {
		text := &jsonschema.Schema{Type: "string", Pattern: f.Pattern}
		code := &jsonschema.Schema{Type: "integer", Minimum: "400", Maximum: "599"}
		p.Type, p.Pattern, p.OneOf = "", "", []*jsonschema.Schema{text, code}
	}
}

func formatted(f v1alpha1.Format) *jsonschema.Schema {
	out := &jsonschema.Schema{Pattern: f.Pattern}
	if f.MaxLength > 0 {
		n := uint64(f.MaxLength)
		out.MaxLength = &n
	}
	return out
}

// together adds the rules between the fields of one object, which policy.Load checks by hand.
func together(defs jsonschema.Definitions) {
	one, some := exactlyOne(), atLeastOne()
	for name, def := range defs {
		for _, key := range one[name] {
			def.OneOf = append(def.OneOf, &jsonschema.Schema{Required: []string{key}})
		}
		for _, key := range some[name] {
			def.AnyOf = append(def.AnyOf, &jsonschema.Schema{Required: []string{key}})
		}
		if needs := needed()[name]; needs != nil {
			def.DependentRequired = needs
		}
		for _, pair := range excluded()[name] {
			def.AllOf = append(def.AllOf, &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{pair[0], pair[1]}}})
		}
	}
}

func exactlyOne() map[string][]string {
	return map[string][]string{
		"Backend": {"service", "labels"}, "MutualTLSSpec": {"mode", "client"}, "FaultAbort": {"httpStatus", "grpcStatus"},
		"Strategy": {"canary", "blueGreen", "rolling", "ab", "direct"}, "CanaryStep": {"setWeight", "pause"},
		"ABMatch": {"header", "cookie", "source"},
	}
}

func atLeastOne() map[string][]string {
	return map[string][]string{
		"CircuitBreakerSpec": {"maxConnections", "maxPendingRequests", "maxRequests", "maxRequestsPerConnection", "maxRetries", "outlierDetection"},
		"RateLimitSpec":      {"limit", "perClient"}, "TimeoutSpec": {"request", "idle"}, "FaultInjectionSpec": {"abort", "delay"},
		"AuthorizationRule": {"from", "to"}, "AuthorizationSource": {"serviceAccounts", "namespaces", "cidrs"},
		"AuthorizationOperation": {"methods", "paths", "ports"}, "SLO": {"successRate", "latency"}, "Check": {"min", "max"}, "RouteRef": {"name", "path", "method"},
	}
}

func needed() map[string]map[string][]string {
	return map[string]map[string][]string{
		"Target":        {"port": {"service"}, "routes": {"service"}, "gateway": {"host"}},
		"RateLimitSpec": {"burst": {"limit"}},
	}
}

func excluded() map[string][][2]string {
	return map[string][][2]string{
		"RouteRef": {{"name", "path"}, {"name", "method"}}, "MutualTLSSpec": {{"ports", "client"}},
		"Canary": {{"steps", "stepWeights"}}, "CanaryStep": {{"pause", "min"}, {"pause", "max"}},
	}
}
