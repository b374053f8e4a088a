package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/metrics/prometheus"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// tryChecks asks each check of a plan once, before anything is written: a query that Prometheus does not understand, or
// that gives more than one number, would end the rollout in its first step. Without a cohort $pods matches no pod; a check
// without a value is only said, since its series may come with the rollout.
func (s *session) tryChecks(ctx context.Context, asker metrics.Asker, plan *rollout.Plan) error {
	if asker == nil {
		return nil
	}
	for _, c := range plan.Settings.Checks {
		if name := strangeVariable(c.Query); name != "" {
			return &codeError{code: exitInvalid, err: fmt.Errorf("check %s of Rollout %s: there is no %s; what may stand in a query: $namespace, $service, $rev, $pods", c.Name, plan.Name, name)}
		}
		query := strings.NewReplacer("$rev", plan.Change.Rev, "$pods", "").Replace(c.Query)
		v, err := asker.Ask(ctx, query, time.Now())
		if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			err = fmt.Errorf("the query gives %g", v)
		}
		var of *prometheus.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !c.Within(v):
			s.app.warn("check %s is beyond its limit already, and would end the rollout in step 0: its value is %g", c.Name, v)
		case err == nil:
		case errors.As(err, &of) && (of.Kind == prometheus.BadQuery || of.Kind == prometheus.ManySeries):
			return &codeError{code: exitInvalid, err: fmt.Errorf("check %s of Rollout %s: %w", c.Name, plan.Name, err)}
		case !strings.Contains(c.Query, "$"):
			s.app.warn("check %s has no value now, and fails to judge after %d ticks without one: %v", c.Name, metrics.SilentTicks, err)
		}
	}
	return nil
}

// strangeVariable is what looks like a variable in a query and is none; empty where there is none. In a regular expression
// a letter behind a $ would never match.
func strangeVariable(query string) string {
	for _, name := range regexp.MustCompile(`\$[A-Za-z_]+`).FindAllString(query, -1) {
		if !strings.HasPrefix(name, "$rev") && !strings.HasPrefix(name, "$pods") {
			return name
		}
	}
	return ""
}
