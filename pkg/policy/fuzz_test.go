package policy_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
)

// FuzzLoad holds that whatever is in a file, Load answers with a set or with faults that have places, and says the same
// when asked again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		timeoutDoc, rolloutDoc, timeoutDoc + "---\n" + rolloutDoc, "", "---\n...\n---", "a: &a [*a]", "? {a: b}\n: c", "\t", "%YAML 1.1\n---\na: 1",
		`{"apiVersion":"meshpol.io/v1alpha1","kind":"Timeout","metadata":{"name":"c"},"spec":{"target":{"service":"c"},"request":"1s"}}`,
		doc("CircuitBreaker", "a", "{target: {host: a.b}, maxConnections: 0x10, outlierDetection: {interval: 1s}}"),
		doc("RateLimit", "a", "{target: {workload: {labels: {app: a}}}, limit: {requests: 1, per: 1s}, overrides: [{clients: [a/b], limit: {requests: 2, per: 1s}}]}"),
		doc("Authorization", "a", "{target: {service: a}, action: allow, rules: [{from: [{cidrs: [10.0.0.0/8]}]}]}"),
		doc("FaultInjection", "a", "{target: {service: a}, expires: 1m, abort: {grpcStatus: ABORTED, percentage: 1e1}}"),
		doc("Rollout", "a", "{strategy: {canary: {steps: [{pause: {}}, {setWeight: 1.5%}]}}}"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		load := func() (policy.Set, error) {
			return policy.Load(policy.LoadOptions{Paths: []string{"-"}, Stdin: bytes.NewReader(data)})
		}
		set, err := load()
		again, errAgain := load()
		if diff := cmp.Diff(set, again); diff != "" || (err == nil) != (errAgain == nil) {
			t.Fatal(diff, err, errAgain)
		}
		if err == nil {
			mustBeComplete(t, set)
			return
		}
		mustHavePlaces(t, err, lineCount(string(data)))
	})
}

// lineCount counts lines as YAML does.
func lineCount(text string) int {
	n := 1
	for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		n += strings.Count(text, end)
	}
	return n
}

// mustBeComplete wants what every user of a Set relies on.
func mustBeComplete(t *testing.T, set policy.Set) {
	if len(set.Policies)+len(set.Rollouts) == 0 {
		t.Fatal("neither documents nor faults")
	}
	for _, p := range set.Policies {
		if p.Name == "" || p.Namespace == "" || p.Object == nil || p.Source.Line < 1 || p.Target().Namespace == "" {
			t.Fatalf("incomplete: %+v", p)
		}
	}
	for _, r := range set.Rollouts {
		if s := r.Object.Spec; len(s.Strategy.Names()) != 1 || s.Bake == nil || s.Analysis.Step0 == nil {
			t.Fatalf("incomplete: %+v", r)
		}
	}
}

func mustHavePlaces(t *testing.T, err error, lines int) {
	var list policy.Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	for _, e := range list {
		if e.File != "-" || e.Line < 0 || e.Line > lines || !strings.HasPrefix(e.Code, "MP1") || e.Message == "" || strings.Contains(e.Error(), "\n") {
			t.Fatalf("a fault without a place: %#v (%d lines)", e, lines)
		}
	}
}
