package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/metrics/prometheus"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// answering answers every query alike, and keeps the last one.
type answering struct {
	value float64
	err   error
	asked string
}

func (a *answering) Ask(_ context.Context, query string, _ time.Time) (float64, error) {
	a.asked = query
	return a.value, a.err
}

// TestChecksAreTriedBeforeTheFirstWrite: a query that can never judge is refused; one that cannot judge yet is said.
func TestChecksAreTriedBeforeTheFirstWrite(t *testing.T) {
	most := 5.0
	failing := func(k prometheus.Kind) error { return &prometheus.Error{Kind: k, Query: "q", Err: errors.New("why")} }
	for name, c := range map[string]struct {
		query   string
		value   float64
		err     error
		refused string
		said    string
	}{
		"a number":                 {query: "sum(x)"},
		"beyond already":           {query: "x", value: 7, said: "check orders is beyond its limit already, and would end the rollout in step 0: its value is 7"},
		"no such variable":         {query: `x{a="$nosuch"}`, refused: "there is no $nosuch; what may stand in a query: $namespace"},
		"a regular expression":     {query: `x{a=~"b$", c=~"mp_$rev_new|(d$)"}`},
		"no number":                {query: "x", value: math.NaN(), said: "check orders has no value now, and fails to judge after 4 ticks without one: the query gives NaN"},
		"not understood":           {query: "sum(", err: failing(prometheus.BadQuery), refused: "check orders of Rollout cart: Prometheus refused the query q: why"},
		"many":                     {query: "x", err: failing(prometheus.ManySeries), refused: "gives why where one number is wanted"},
		"none":                     {query: "x", err: failing(prometheus.NoSeries), said: "check orders has no value now"},
		"none before the rollout":  {query: `x{route=~"mp-$rev.*"}`, err: failing(prometheus.NoSeries)},
		"none without a cohort":    {query: `x{pod=~"$pods"}`, err: failing(prometheus.NoSeries)},
		"not understood with pods": {query: `x{pod=~"$pods"`, err: failing(prometheus.BadQuery), refused: "check orders"},
		"nobody answers":           {query: "x", err: failing(prometheus.Unreachable), said: "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			s := &session{app: &app{streams: streams{err: &stderr}}}
			plan := &rollout.Plan{Name: "cart", Change: policy.Change{Rev: "1a2b3c"}, Settings: rollout.Settings{Checks: []metrics.Check{{Name: "orders", Query: c.query, Max: &most}}}}
			asker := &answering{value: c.value, err: c.err}
			err := s.tryChecks(t.Context(), asker, plan)
			if (err != nil) != (c.refused != "") || err != nil && (!strings.Contains(err.Error(), c.refused) || exitCode(err) != exitInvalid) {
				t.Errorf("%v, want %q", err, c.refused)
			}
			if said := stderr.String(); (said != "") != (c.said != "") || !strings.Contains(said, c.said) {
				t.Errorf("said %q, want %q", said, c.said)
			}
			if strings.Contains(asker.asked, "$rev") || strings.Contains(asker.asked, "$pods") {
				t.Errorf("asked %s", asker.asked)
			}
		})
	}
	if err := (&session{}).tryChecks(t.Context(), nil, &rollout.Plan{}); err != nil {
		t.Error(err)
	}
}
