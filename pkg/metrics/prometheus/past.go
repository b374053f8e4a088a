package prometheus

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

var _ metrics.Historian = (*Provider)(nil)

// The past is read in ticks of a minute or of a scrape, whichever is longer; sums by half keep an answer small whatever
// the number of pods. Durations are read for a shorter time: their buckets are twenty times as many series for Prometheus
// to read.
const (
	pastTick      = time.Minute
	usualScrape   = 15 * time.Second
	durationsPast = time.Hour
	halfLabel     = "meshpol_half"
	// mostInATick is more than any service serves in a tick: what is above is no count.
	mostInATick = 1e12
)

// pastTickOf is the shortest time that is at least a minute and has a whole number of scrapes.
func pastTickOf(scrape time.Duration) time.Duration {
	scrapes := math.Ceil(float64(pastTick) / float64(scrape))
	return time.Duration(scrapes * float64(scrape))
}

// halfPattern matches the names of half of the pods by their last character. Names of a Deployment's pods end at random
// in bcdfghjklmnpqrstvwxz2456789, those of a StatefulSet in a number.
const halfPattern = ".*[bdgjlnqsvx13579]"

// History implements metrics.Historian with three range queries.
func (p *Provider) History(ctx context.Context, q metrics.PastQuery, now time.Time, length time.Duration) (metrics.History, error) {
	if q.Scrape <= 0 {
		q.Scrape = usualScrape
	}
	h := metrics.History{Tick: pastTickOf(q.Scrape)}
	if q.Requests == "" {
		return h, nil
	}
	ticks := map[model.Time]*[2]metrics.HalfCount{}
	at := func(t model.Time, m model.Metric) *metrics.HalfCount {
		if ticks[t] == nil {
			ticks[t] = &[2]metrics.HalfCount{}
		}
		half := 0
		if m[halfLabel] != "" {
			half = 1
		}
		return &ticks[t][half]
	}
	all, err := p.past(ctx, halves(increase(q.Requests, h.Tick, q.Scrape), ""), h.Tick, now, length)
	if err != nil {
		return h, err
	}
	each(all, func(t model.Time, m model.Metric, v float64) { at(t, m).Requests += v })
	bad, err := p.past(ctx, halves(badIncrease(q, h.Tick), ""), h.Tick, now, length)
	if err != nil {
		return h, err
	}
	each(bad, func(t model.Time, m model.Metric, v float64) { at(t, m).Errors += v })
	if h.Bounds, err = p.pastDurations(ctx, q, now, min(length, durationsPast), h.Tick, at); err != nil {
		p.options.OnWarning("the durations of the past are left out: " + err.Error())
	}
	whole := metrics.History{Tick: h.Tick}
	for _, t := range slices.Sorted(maps.Keys(ticks)) {
		age := int(now.Sub(t.Time()).Round(h.Tick) / h.Tick)
		whole.Ticks, whole.Ages = append(whole.Ticks, *ticks[t]), append(whole.Ages, age)
		if q.Usual(t.Time(), h.Tick) {
			h.Ticks, h.Ages = append(h.Ticks, *ticks[t]), append(h.Ages, age)
		}
	}
	h.Recent = whole.RecentRate() // a rollout changes what fails, not how much is asked
	return h, ctx.Err()
}

// pastDurations turns buckets into requests above each bound.
func (p *Provider) pastDurations(
	ctx context.Context, q metrics.PastQuery, now time.Time, length, tick time.Duration, at func(model.Time, model.Metric) *metrics.HalfCount,
) ([]float64, error) {
	if q.Durations == "" {
		return nil, nil
	}
	matrix, err := p.past(ctx, halves(increase(q.Durations, tick, q.Scrape), "le"), tick, now, length)
	if err != nil {
		return nil, err
	}
	bounds := boundsOf(matrix)
	below := map[*metrics.HalfCount][]float64{}
	each(matrix, func(t model.Time, m model.Metric, v float64) {
		half := at(t, m)
		bound, err := strconv.ParseFloat(string(m[model.BucketLabel]), 64)
		if err == nil && math.IsInf(bound, 1) {
			half.Timed += v
			return
		}
		i, ok := slices.BinarySearch(bounds, bound)
		if err != nil || !ok { // no number, NaN or -Inf
			return
		}
		if below[half] == nil {
			below[half] = make([]float64, len(bounds))
		}
		below[half][i] += v
	})
	for half, counts := range below {
		half.Slow = make([]float64, len(bounds))
		for i, n := range counts {
			half.Slow[i] = max(0, half.Timed-n)
		}
	}
	return bounds, nil
}

// boundsOf are the finite bounds of the buckets, ascending.
func boundsOf(matrix model.Matrix) []float64 {
	var out []float64
	for _, s := range matrix {
		if b, err := strconv.ParseFloat(string(s.Metric[model.BucketLabel]), 64); err == nil && !math.IsInf(b, 0) && !math.IsNaN(b) {
			out = append(out, b)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// each visits the values that counts can have.
func each(matrix model.Matrix, visit func(t model.Time, m model.Metric, v float64)) {
	for _, s := range matrix {
		for _, x := range s.Values {
			if v := float64(x.Value); v >= 0 && v < mostInATick { // NaN is not >= 0
				visit(x.Timestamp, s.Metric, v)
			}
		}
	}
}

// halves sums an expression by the two halves of the pods, and by another label.
func halves(expression, by string) string {
	var names []string
	for _, pair := range podLabels() {
		names = append(names, string(pair[1]))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		expression = fmt.Sprintf("label_replace(%s,%q,%q,%q,%q)", expression, halfLabel, "b", name, halfPattern)
	}
	labels := []string{halfLabel}
	if by != "" {
		labels = append(labels, by)
	}
	return fmt.Sprintf("sum by (%s) (%s)", strings.Join(labels, ","), expression)
}

// increase is what each counter grew by in a tick. Prometheus' own increase() over a tick sees only what lies between
// that tick's samples, three of four scrapes, and scales it up: an error in four is lost and the others count 4/3, so that
// independent errors look like clumps (measured: φ 1.34 with scrapes of 15 s; 60 s show nothing at all). Over a tick and
// a scrape each growth lies in one window, and the scale is taken out again.
func increase(selector string, tick, scrape time.Duration) string {
	return fmt.Sprintf("increase(%s[%s])*%g", selector, model.Duration(tick+scrape), float64(tick)/float64(tick+scrape))
}

// badIncrease is the increase of what the rules call bad: by code, and by gRPC status where the code is good.
func badIncrease(q metrics.PastQuery, tick time.Duration) string {
	rules := q.BadCodes()
	var codes []string
	for _, c := range slices.Concat(rules.Bad, rules.Refused) {
		codes = append(codes, strings.ReplaceAll(c, "xx", ".."))
	}
	pattern := strings.Join(codes, "|")
	out := increase(narrowed(q.Requests, fmt.Sprintf("response_code=~%q", pattern)), tick, q.Scrape)
	if len(rules.BadGRPC) == 0 {
		return out
	}
	grpc := fmt.Sprintf("response_code!~%q,grpc_response_status=~%q", pattern, strings.Join(rules.BadGRPC, "|"))
	return "(" + out + " or " + increase(narrowed(q.Requests, grpc), tick, q.Scrape) + ")"
}

// narrowed adds matchers to a selector.
func narrowed(selector, matchers string) string {
	return strings.TrimSuffix(strings.TrimSpace(selector), "}") + "," + matchers + "}"
}

// past asks for ticks of the time before now.
func (p *Provider) past(ctx context.Context, query string, tick time.Duration, now time.Time, length time.Duration) (model.Matrix, error) {
	limited, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	value, warnings, _, err := p.api.QueryRange(limited, query, promv1.Range{Start: now.Add(-length + tick), End: now, Step: tick})
	for _, w := range warnings {
		p.options.OnWarning(w)
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, classify(err, p.address, query)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, p.unexpected(query, value, "a matrix")
	}
	return matrix, nil
}
