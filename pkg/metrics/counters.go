package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// podMemory is how long a pod that is no longer scraped is remembered.
	podMemory = time.Hour
	// surprise and surpriseMin bound what a series that appears may have counted: so many times the pod's busiest rate,
	// and a number that is always believed. What is above is taken for an old counter that came back.
	surprise    = 10.0
	surpriseMin = 100.0
	maxProblems = 5
)

// Counters turns raw samples into increments per pod and side (ANALYSIS.md section 9). It is a value: Step returns the
// next state and leaves the old one as it was.
//
// A sample is used once. Within a series an increment is v-prev, or v after a reset (v < prev). A series that was never
// seen began at 0 if its pod was scraped before without it, if the pod started after counting began, or if the query
// says so (Query.FromZero); otherwise its first sample is a baseline. A series that is gone keeps its last value.
//
// The first Step counts every sample in (from, to], and takes what lies before as the baseline: that is how a restarted
// runner refills its counters, by reading a window that reaches back beyond the saved tick. Later Steps go on where the
// last one ended. When from lies after the end of the last interval (a step has changed the exposure meanwhile), or is
// where an exposure began (SinceExposure), the interval between two scrapes in which from lies is counted for nobody,
// since it mixes two exposures. Series that are all born with the rollout have nothing from before its first exposure.
type Counters struct {
	query    Query
	readings map[string]Sample
	pods     map[string]podRecord
	// falls are the series that went down lately.
	falls map[string]fall
	// begin is where counting began, cut where the last gap in the asked intervals ended, to where the last Step ended.
	begin, cut, to time.Time
}

// podRecord is what is known of a pod: its first and last scrape, its start, its busiest rate and its side.
type podRecord struct {
	first, last, started time.Time
	// afterCut is the first scrape after the cut; counted tells that a series of it had been counted before the cut.
	afterCut time.Time
	counted  bool
	rate     float64
	side     Side
	before   Side
	changed  time.Time
}

// NewCounters counts the series of a query.
func NewCounters(q Query) Counters {
	q.Codes = q.Codes.orDefault()
	return Counters{query: q, readings: map[string]Sample{}, pods: map[string]podRecord{}, falls: map[string]fall{}}
}

// WithQuery goes on with another query, as when a step moves pods to the other side: the readings stay. A pod whose
// side changes belongs to its former side for samples up to the start of the next interval, to its new one after.
func (c Counters) WithQuery(q Query) Counters {
	q.Codes = q.Codes.orDefault()
	c.query = q
	return c
}

// WithStarts tells when pods started ("namespace/pod"): the counters of a pod that started after counting began are 0
// at its birth.
func (c Counters) WithStarts(started map[string]time.Time) Counters {
	c.pods = maps.Clone(c.pods)
	for pod, at := range started {
		r := c.pods[pod]
		r.started = at
		c.pods[pod] = r
	}
	return c
}

// Step counts the interval (from, to]. Series may hold samples from before and samples that were used already.
func (c Counters) Step(series []Series, from, to time.Time) (Counters, Tick) {
	next := c
	next.readings, next.pods, next.falls = maps.Clone(c.readings), maps.Clone(c.pods), maps.Clone(c.falls)
	next.to = to
	next.startInterval(c.to, from)
	w := stepWork{c: &next, tick: Tick{From: from, To: to, Pods: map[string]map[Side]Counts{}, Series: map[Side]int{}, Unusable: c.query.Blind},
		buckets: map[bucketKey]map[float64]float64{}, natives: map[nativeKey]Exponential{}}
	batch := w.collect(series)
	for _, s := range batch {
		w.see(s)
	}
	for _, s := range batch {
		w.count(s)
	}
	w.finish()
	w.tick.Lost = w.lost()
	next.forget()
	return next, w.tick
}

// startInterval sets where counting begins, notes a gap, and which pods changed their side.
func (c *Counters) startInterval(last, from time.Time) {
	switch {
	case last.IsZero():
		c.begin = from
	case from.After(last):
		c.cut = from
		for pod, r := range c.pods {
			r.afterCut = time.Time{}
			c.pods[pod] = r
		}
		for id := range c.readings {
			r := c.pods[podOf(id)]
			r.counted = true
			c.pods[podOf(id)] = r
		}
	}
	for pod, side := range c.query.Instances {
		r := c.pods[pod]
		if r.side != side {
			r.before, r.side, r.changed = r.side, side, from
			c.pods[pod] = r
		}
	}
}

// forget drops pods that have not been scraped for long, and their readings.
func (c *Counters) forget() {
	gone := map[string]bool{}
	for pod, r := range c.pods {
		if !r.last.IsZero() && c.to.Sub(r.last) > podMemory {
			gone[pod] = true
			delete(c.pods, pod)
		}
	}
	if len(gone) > 0 {
		maps.DeleteFunc(c.readings, func(id string, _ Sample) bool { return gone[podOf(id)] })
		maps.DeleteFunc(c.falls, func(id string, _ fall) bool { return gone[podOf(id)] })
	}
}

// sideOf is the side of a series at a time; "" belongs to nobody.
func (c *Counters) sideOf(rule SeriesRule, pod string, at time.Time) Side {
	side, byPod := c.query.Instances[pod]
	if !byPod {
		return rule.Side
	}
	if r := c.pods[pod]; r.before != "" && !at.After(r.changed) {
		return r.before
	}
	return side
}

// stepWork is one Step under way.
type stepWork struct {
	c        *Counters
	tick     Tick
	buckets  map[bucketKey]map[float64]float64
	natives  map[nativeKey]Exponential
	problems int
	// lie is why the interval counts for nobody: a series that cannot be a counter.
	lie string
}

type bucketKey struct {
	pod  string
	side Side
}

// observed is a series of the answer with its usable samples in order.
type observed struct {
	id     string
	series Series
}

func (w *stepWork) problem(format string, args ...any) {
	w.problems++
	if w.problems <= maxProblems {
		w.tick.Problems = append(w.tick.Problems, fmt.Sprintf(format, args...))
	}
}

// collect joins series of one identity (a relabelled target) and leaves out unusable samples.
func (w *stepWork) collect(series []Series) []observed {
	batch := make([]observed, 0, len(series))
	for _, s := range series {
		batch = append(batch, observed{id: s.identity(), series: Series{Labels: s.Labels, Pod: s.Pod, Samples: w.usable(s)}})
	}
	slices.SortStableFunc(batch, func(a, b observed) int { return strings.Compare(a.id, b.id) })
	joined := batch[:0]
	for _, o := range batch {
		if last := len(joined) - 1; last >= 0 && joined[last].id == o.id {
			joined[last].series.Samples = append(joined[last].series.Samples, o.series.Samples...)
			continue
		}
		joined = append(joined, o)
	}
	for _, o := range joined {
		slices.SortStableFunc(o.series.Samples, func(a, b Sample) int { return a.At.Compare(b.At) })
	}
	return joined
}

// usable leaves out values that no counter can have, and samples that lie after the interval.
func (w *stepWork) usable(s Series) []Sample {
	good := make([]Sample, 0, len(s.Samples))
	for _, x := range s.Samples {
		bad := math.IsNaN(x.Value) || math.IsInf(x.Value, 0) || x.Value < 0
		switch {
		case x.Native != nil && x.Native.usable() != nil:
			w.problem("%s of %s had %v: ignored", s.Labels[nameLabel], s.Pod, x.Native.usable())
		case bad:
			w.problem("%s of %s had the value %v, which no counter can have: ignored", s.Labels[nameLabel], s.Pod, x.Value)
		case !x.At.After(w.tick.To):
			good = append(good, x)
		}
	}
	return good
}

// see notes the scrapes of a pod, whatever the series is.
func (w *stepWork) see(o observed) {
	r := w.c.pods[o.series.Pod]
	for _, x := range o.series.Samples {
		if r.first.IsZero() || x.At.Before(r.first) {
			r.first = x.At
		}
		if x.At.After(r.last) {
			r.last = x.At
		}
		if x.At.After(w.c.cut) && (r.afterCut.IsZero() || x.At.Before(r.afterCut)) {
			r.afterCut = x.At
		}
		if x.At.After(w.tick.Newest) {
			w.tick.Newest = x.At
		}
	}
	w.c.pods[o.series.Pod] = r
}

// count uses the samples of a series that are newer than the last one used.
func (w *stepWork) count(o observed) {
	rule, ok := w.c.query.classOf(o.series)
	if !ok {
		return
	}
	if side := w.c.sideOf(rule, o.series.Pod, w.tick.To); side != "" {
		w.tick.Series[side]++
	}
	for _, x := range o.series.Samples {
		last, known := w.c.readings[o.id]
		if known && !x.At.After(last.At) {
			continue
		}
		if side := w.c.sideOf(rule, o.series.Pod, x.At); x.Native != nil || last.Native != nil {
			w.addNative(o.series, side, x, last, known)
		} else {
			w.add(o.series, rule, side, w.increment(o, x, last, known))
		}
		w.c.readings[o.id] = x
	}
}

// increment is what a sample adds.
func (w *stepWork) increment(o observed, x, last Sample, known bool) float64 {
	switch {
	case !x.At.After(w.c.begin) || !x.At.After(w.c.cut):
		return 0
	case !known:
		return w.birth(o.series, x)
	case last.At.Before(w.c.cut):
		return 0
	case x.Value < last.Value:
		return w.fell(o.id, o.series, x, last)
	default:
		return w.rose(o.id, o.series, x, last)
	}
}

// birth is what the first sample of an unknown series adds.
func (w *stepWork) birth(s Series, x Sample) float64 {
	pod := w.c.pods[s.Pod]
	scrapedBefore := pod.first.Before(x.At)
	bornLater := !pod.started.IsZero() && !pod.started.Before(w.c.begin)
	if !scrapedBefore && !bornLater && !w.c.query.FromZero {
		return 0
	}
	mixed := pod.counted || !w.c.query.FromZero && pod.first.Before(w.c.cut)
	if acrossCut := mixed && x.At.Equal(pod.afterCut); acrossCut {
		return 0
	}
	limit := surprise*pod.rate*max(15, w.tick.To.Sub(w.tick.From).Seconds()) + surpriseMin
	served := w.tick.To.Sub(w.c.begin).Seconds() + 15
	if pod.rate > 0 && x.Value > limit || x.Value > fastest*served {
		w.problem("%s of %s appeared with %.0f, more than the pod can have served: taken as a baseline", s.Labels[nameLabel], s.Pod, x.Value)
		return 0
	}
	return x.Value
}

// add books n requests or n entries of a bucket. A bucket that did not move counts too: all were slower.
func (w *stepWork) add(s Series, rule SeriesRule, side Side, n float64) {
	switch {
	case side == "":
		return
	case rule.Class == ClassDuration:
		w.addBucket(s, side, n)
		return
	case n == 0:
		return
	case rule.Class == ClassAttempt:
		w.book(s.Pod, side, Counts{Attempts: n})
		return
	}
	one := Counts{Requests: n, Codes: map[string]float64{s.Labels[CodeLabel]: n}}
	bad, refused := w.c.query.Codes.Judge(s.Labels)
	if bad {
		one.Errors = n
	}
	if refused {
		one.Refused = n
	}
	w.book(s.Pod, side, one)
}

func (w *stepWork) addBucket(s Series, side Side, n float64) {
	bound, ok := bucketBound(s)
	if !ok {
		w.problem("%s of %s has a bucket bound %q, which is no number: ignored", s.Labels[nameLabel], s.Pod, s.Labels[bucketLabel])
		return
	}
	key := bucketKey{s.Pod, side}
	if w.buckets[key] == nil {
		w.buckets[key] = map[float64]float64{}
	}
	w.buckets[key][bound] += n
}

func (w *stepWork) book(pod string, side Side, c Counts) {
	sides := w.tick.Pods[pod]
	if sides == nil {
		sides = map[Side]Counts{}
		w.tick.Pods[pod] = sides
	}
	sides[side] = sides[side].Plus(c)
}

// finish turns buckets into requests above their bounds, and learns each pod's busiest rate. Where a series cannot be a
// counter, the interval counts for nobody.
func (w *stepWork) finish() {
	defer w.countProblems()
	if w.lie != "" {
		w.tick.Unusable, w.tick.Pods = w.lie, map[string]map[Side]Counts{}
		return
	}
	for key, inc := range w.buckets {
		if inc[math.Inf(1)] > 0 {
			w.book(key.pod, key.side, slowOf(inc))
		}
	}
	w.finishNative()
	w.learnRates()
}

// learnRates notes each pod's busiest rate.
func (w *stepWork) learnRates() {
	seconds := max(15, w.tick.To.Sub(w.tick.From).Seconds())
	for pod, sides := range w.tick.Pods {
		r := w.c.pods[pod]
		r.rate = max(r.rate, (sides[New].Requests+sides[Old].Requests)/seconds)
		w.c.pods[pod] = r
	}
}

// countProblems tells how many more there were than are told.
func (w *stepWork) countProblems() {
	if more := w.problems - maxProblems; more > 0 {
		w.tick.Problems = append(w.tick.Problems, fmt.Sprintf("and %d more", more))
	}
}

// slowOf is the histogram's count (its +Inf bucket) minus the bucket, for every bound.
func slowOf(inc map[float64]float64) Counts {
	all := inc[math.Inf(1)]
	c := Counts{Timed: all, Slow: map[float64]float64{}}
	for bound, n := range inc {
		if !math.IsInf(bound, 1) {
			c.Slow[bound] = max(0, all-n)
		}
	}
	return c
}
