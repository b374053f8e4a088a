package main

import (
	"context"
	"errors"
	"fmt"
	"math"
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
		query := strings.NewReplacer("$rev", plan.Change.Rev, "$pods", "").Replace(c.Query)
		v, err := asker.Ask(ctx, query, time.Now())
		if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			err = fmt.Errorf("the query gives %g", v)
		}
		var of *prometheus.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
		case errors.As(err, &of) && (of.Kind == prometheus.BadQuery || of.Kind == prometheus.ManySeries):
			return &codeError{code: exitInvalid, err: fmt.Errorf("check %s of Rollout %s: %w", c.Name, plan.Name, err)}
		case !strings.Contains(c.Query, "$"):
			s.app.warn("check %s has no value now, and fails to judge after %d ticks without one: %v", c.Name, metrics.SilentTicks, err)
		}
	}
	return nil
}
