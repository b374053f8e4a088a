package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/meshpol/meshpol/pkg/policy"
)

// wide are documents that use every field of their kind, so that a mutation meets each of them.
func wide() map[string]string {
	return map[string]string{
		"circuitbreaker": "{target: {service: a, port: 80}, maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRequestsPerConnection: 1, maxRetries: 1, outlierDetection: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 1s, maxEjectionTime: 1s, maxEjectionPercent: 10%}}",
		"ratelimit":      "{target: {gateway: a/b, host: a.b}, limit: {requests: 1, per: 1s}, burst: 1, perClient: {requests: 1, per: 1s}, overrides: [{clients: [a/b, c], limit: {requests: 1, per: 1s}}]}",
		"retry":          "{target: {service: a, routes: [{name: x}, {path: /a/*, method: GET}]}, attempts: 1, perTryTimeout: 1s, on: [5xx, 503], backoff: 1s}",
		"timeout":        "{target: {host: '*.a.b'}, request: 1s, idle: 1m30s}",
		"trafficshift":   "{target: {service: a}, backends: [{service: b, weight: 1}, {labels: {a.b/c: d}, weight: 0}]}",
		"mutualtls":      "{target: {namespace: true}, mode: strict}",
		"authorization":  "{target: {workload: {labels: {app: a}}}, action: deny, rules: [{from: [{serviceAccounts: [a], namespaces: [b], cidrs: [10.0.0.0/8, '::1']}], to: [{methods: [GET], paths: [/], ports: [80]}]}]}",
		"faultinjection": "{target: {service: a}, abort: {grpcStatus: ABORTED, percentage: 1}, delay: {duration: 1s, percentage: 2.5%}, expires: 1m}",
		"rollout": "{policies: [{kind: Retry, name: a, namespace: b}], strategy: {canary: {by: request, steps: [{setWeight: 1%, min: 1s, max: 1m}, {pause: {duration: 1m}}, {setWeight: 50}]}}, " +
			"analysis: {slo: {successRate: 99.9, latency: {p: 99, max: 1s}}, allow: {refused: 1}, falseRollback: 0.01, passMargin: 2, passMarginMax: 10, minRequests: 1, step0: {min: 1s, max: 1m, minRequests: 1}, tick: 15s, onInconclusive: wait, onNoData: pause}, " +
			"bake: 1m, onFailure: pause, deadline: 1h}",
		"rollout ab":         "{strategy: {ab: {match: [{header: {name: x, value: y}}, {cookie: {name: x, value: y}}, {source: {app: a}}], duration: 1h, then: ask}}}",
		"rollout blue-green": "{strategy: {blueGreen: {preview: {header: x}, keepOld: 1m}}}",
		"rollout rolling":    "{strategy: {rolling: {batch: 25%, by: workload}}}",
		"rollout direct":     "{strategy: {direct: {}}}",
		"rollout weights":    "{strategy: {canary: {stepWeights: [1, 5%]}}}",
		"mutualtls client":   "{target: {host: a.b}, client: {mode: simple}}",
		"mutualtls ports":    "{target: {service: a}, mode: permissive, ports: [80]}",
	}
}

// TestSchemaAndLoadAgree mutates every document at every place in every way and asks both. Whatever the schema refuses,
// Load refuses; and whatever Load accepts, the schema accepts. Load alone knows the limits of durations, what an
// address is, and how values of two fields compare.
func TestSchemaAndLoadAgree(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	c, err := readComments(filepath.Join(root, "pkg/policy/v1alpha1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds() {
		schema := newEvaluator(t, schemaOf(k, c))
		t.Run(k.name, func(t *testing.T) {
			n := 0
			for _, doc := range documents(t, root, k) {
				for _, m := range append(mutations(doc), doc) {
					n++
					agree(t, schema, m)
				}
			}
			if n < 50 {
				t.Errorf("only %d documents were tried", n)
			}
		})
	}
}

// documents are the kind's example and the wide ones.
func documents(t *testing.T, root string, k kind) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "examples/kinds", k.fileName()+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(string(text), "---\n")
	for name, spec := range wide() {
		if first, _, _ := strings.Cut(name, " "); first == k.fileName() {
			texts = append(texts, fmt.Sprintf("{apiVersion: meshpol.io/v1alpha1, kind: %s, metadata: {name: a, namespace: b, labels: {a: b}, annotations: {c: 'd e'}}, spec: %s}", k.name, spec))
		}
	}
	var out []map[string]any
	for _, text := range texts {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		out = append(out, doc)
	}
	return out
}

func agree(t *testing.T, schema evaluator, doc map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader(string(text))})
	fits := schema.accepts(schema.root, any(doc))
	switch {
	case err == nil && !fits:
		t.Errorf("the schema refuses what Load accepts:\n%s", text)
	case err != nil && fits && !beyondSchemas(err):
		t.Errorf("the schema accepts what Load refuses: %v\n%s", err, text)
	}
}

// beyondSchemas tells whether every fault is one that a schema cannot say.
func beyondSchemas(err error) bool {
	var list policy.Errors
	if !errors.As(err, &list) {
		return false
	}
	for _, e := range list {
		duration := strings.HasSuffix(e.Hint, "h") || strings.Contains(e.Hint, "s to ") || strings.Contains(e.Message, "292 years")
		percentText := strings.Contains(e.Message, "%")
		compared := strings.Contains(e.Message, "shorter than") || strings.Contains(e.Message, "above passMarginMax") ||
			strings.Contains(e.Message, "where attempts is 0") || strings.Contains(e.Message, "no step sets a weight")
		side := strings.Contains(e.Message, "a namespace target") || strings.Contains(e.Message, "acts on the ")
		address := strings.Contains(e.Field, ".cidrs[")
		if !duration && !percentText && !compared && !side && !address {
			return false
		}
	}
	return true
}

// mutations are copies of a document with one place changed.
func mutations(doc map[string]any) []map[string]any {
	var out []map[string]any
	for _, path := range paths(doc, nil) {
		for _, v := range replacements() {
			out = append(out, changed(doc, path, v, false))
		}
		out = append(out, changed(doc, path, nil, true))
		out = append(out, changed(doc, append(slices.Clone(path), "unknownKey"), 1, false))
	}
	return out
}

func replacements() []any {
	return []any{"", "x", "X y", "-x", "5", "5s", "0s", "1d", "-1s", "1e1", "25%", "150%", "/p", "10.0.0.0/99", "*", "a/b", "GET", "true", strings.Repeat("a", 64),
		0, 1, -1, 7, 503, 70000, 2147483647, 2147483648, 1.5, 5.0, 0.05, 100.5, 1e20, true, false, nil,
		[]any{}, []any{"x"}, []any{1}, []any{"x", 1.5}, map[string]any{}, map[string]any{"x": "y"}, map[string]any{"x": 1}, map[string]any{"service": "a"}}
}

// paths lists every place of a value: keys and indexes.
func paths(v any, at []any) [][]any {
	var out [][]any
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, append(slices.Clone(at), k))
			out = append(out, paths(v[k], append(slices.Clone(at), k))...)
		}
	case []any:
		for i := range v {
			out = append(out, append(slices.Clone(at), i))
			out = append(out, paths(v[i], append(slices.Clone(at), i))...)
		}
	}
	return out
}

// changed is a deep copy with one place set or removed; a place that cannot be is left.
func changed(doc map[string]any, path []any, to any, remove bool) map[string]any {
	return change(doc, path, to, remove).(map[string]any)
}

func change(v any, path []any, to any, remove bool) any {
	if len(path) == 0 {
		return to
	}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		key, ok := path[0].(string)
		switch {
		case !ok:
		case remove && len(path) == 1:
			delete(out, key)
		default:
			out[key] = change(v[key], path[1:], to, remove)
		}
		return out
	case []any:
		i, ok := path[0].(int)
		switch {
		case !ok:
			return v
		case remove && len(path) == 1:
			return append(slices.Clone(v[:i]), v[i+1:]...)
		}
		out := slices.Clone(v)
		out[i] = change(v[i], path[1:], to, remove)
		return out
	}
	return v
}
