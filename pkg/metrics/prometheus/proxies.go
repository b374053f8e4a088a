package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/meshpol/meshpol/pkg/metrics"
)

var (
	_ metrics.Provider = (*Proxies)(nil)
	_ metrics.Live     = (*Proxies)(nil)
)

const (
	proxyReaders   = 8
	maxProxyAnswer = 8 << 20
)

// Sample is how many proxies are read at a time, and how long one of them may take to answer. A comparison conditions on
// the counts, so that some of the pods are as good as all of them (ANALYSIS.md section 9).
type Sample struct {
	// All is by request, New and Old are the sides' by instance.
	All, New, Old int
	Patience      time.Duration
}

// JudgeSample is what a judge's ticks are made of.
func JudgeSample() Sample { return Sample{All: 50, New: 30, Old: 20, Patience: 5 * time.Second} }

// TripwireSample is for a reading every second (JUDGE.md section 3): few pods, and none that keeps the others waiting.
func TripwireSample() Sample {
	return Sample{All: 10, New: 20, Old: 10, Patience: 900 * time.Millisecond}
}

// Fetch asks one proxy ("namespace/pod") for its statistics in Prometheus' text format, those whose Envoy name a regular
// expression matches.
type Fetch func(ctx context.Context, pod, filter string) (io.ReadCloser, error)

// Proxies answers metrics.Query from the proxies themselves: no Prometheus is needed, and the counters are of now. Its
// memory is its own process, so that nothing is known from before it was opened. It is safe for use by several
// goroutines.
type Proxies struct {
	fetch  Fetch
	pods   func(ctx context.Context) ([]string, error)
	sample Sample

	mu sync.Mutex
	// kept are the samples by pod and series; callers are the pods that have counted anything of a query.
	kept    map[string]map[string]*metrics.Series
	callers map[string]bool
	rounds  uint64
}

// NewProxies asks a sample of the proxies of pods, which lists those there are ("namespace/pod"), by fetch.
func NewProxies(pods func(ctx context.Context) ([]string, error), fetch Fetch, sample Sample) *Proxies {
	return &Proxies{fetch: fetch, pods: pods, sample: sample, kept: map[string]map[string]*metrics.Series{}, callers: map[string]bool{}}
}

// Live implements metrics.Live.
func (*Proxies) Live() bool { return true }

// Read implements metrics.Provider. It reads a sample of the proxies, whose counters are taken for those of now, and
// returns what it has of the window. A few
// proxies that do not answer are left out; where fewer than half of them answer it is an error.
func (p *Proxies) Read(ctx context.Context, q metrics.Query, now time.Time, window time.Duration) ([]metrics.Series, error) {
	var there []string
	if q.Instances == nil && len(q.Callers) == 0 { // a list of all pods of a large cluster takes seconds
		var err error
		if there, err = p.pods(ctx); err != nil {
			return nil, fmt.Errorf("reading the proxies: %w", err)
		}
	}
	asked := p.choose(q, there)
	if len(asked) == 0 {
		return nil, errors.New("reading the proxies: there is no pod with a proxy to ask")
	}
	answers, err := p.readAll(ctx, asked, filterOf(q), now)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for pod, samples := range answers {
		p.keep(pod, samples, now)
	}
	return p.since(now.Add(-window), now), nil
}

// filterOf is a regular expression on Envoy's own names of what the rules look for. Prometheus' form of a name has an
// underscore for every other character.
func filterOf(q metrics.Query) string {
	var parts []string
	for _, r := range q.Rules {
		parts = append(parts, strings.ReplaceAll(regexp.QuoteMeta(r.NameContains), "_", "."))
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), "|")
}

// choose samples the pods to read: by instance the new side's and some of the old one's; else the callers that the query
// names; else those that were seen to count before anything, filled up with others, another part of them each time.
func (p *Proxies) choose(q metrics.Query, there []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rounds++
	if q.Instances != nil {
		var sides [2][]string
		for _, pod := range slices.Sorted(maps.Keys(q.Instances)) {
			i := 0
			if q.Instances[pod] == metrics.Old {
				i = 1
			}
			sides[i] = append(sides[i], pod)
		}
		return append(first(sides[0], p.sample.New, 0), first(sides[1], p.sample.Old, 0)...)
	}
	if n := len(q.Callers); n > 0 {
		return q.Callers[:min(n, p.sample.All)]
	}
	var known, others []string
	for _, pod := range there {
		if p.callers[pod] {
			known = append(known, pod)
		} else {
			others = append(others, pod)
		}
	}
	chosen := first(known, p.sample.All, 0)
	return append(chosen, first(others, p.sample.All-len(chosen), p.rounds)...)
}

// first are at most n pods in an order of their own for every round, so that none is always left out.
func first(pods []string, n int, round uint64) []string {
	pods = slices.Clone(pods)
	if len(pods) <= n {
		return pods
	}
	place := func(pod string) uint64 {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", round, pod)
		return h.Sum64()
	}
	slices.SortFunc(pods, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return pods[:n]
}

func (p *Proxies) readAll(ctx context.Context, pods []string, filter string, at time.Time) (map[string]model.Vector, error) {
	var mu sync.Mutex
	answers, failed := map[string]model.Vector{}, error(nil)
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(proxyReaders)
	for _, pod := range pods {
		group.Go(func() error {
			samples, err := p.readOne(reading, pod, filter, at)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return nil // one proxy is a sample more or less
			}
			answers[pod] = samples
			return nil
		})
	}
	_ = group.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case 2*len(answers) < len(pods):
		return nil, fmt.Errorf("reading the proxies: %d of %d do not answer: %w", len(pods)-len(answers), len(pods), failed)
	}
	return answers, nil
}

func (p *Proxies) readOne(ctx context.Context, pod, filter string, at time.Time) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, p.sample.Patience)
	defer cancel()
	body, err := p.fetch(ctx, pod, filter)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	limited := &io.LimitedReader{R: body, N: maxProxyAnswer}
	out, err := parseText(limited, at)
	if err == nil && limited.N <= 0 {
		err = fmt.Errorf("more than %d bytes", maxProxyAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the statistics of %s: %w", pod, err)
	}
	return out, nil
}

// parseText reads Prometheus' text format; samples without a time get at.
func parseText(r io.Reader, at time.Time) (model.Vector, error) {
	d := expfmt.SampleDecoder{
		Dec:  expfmt.NewDecoder(r, expfmt.NewFormat(expfmt.TypeTextPlain)),
		Opts: &expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(at.UnixNano())},
	}
	var out model.Vector
	for {
		var some model.Vector
		switch err := d.Decode(&some); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		out = append(out, some...)
	}
}

// keep adds one reading of a proxy. Its time is the question's to the nanosecond: it may be where counting begins. A proxy that has counted anything of a query is one of its callers.
func (p *Proxies) keep(pod string, samples model.Vector, at time.Time) {
	if p.kept[pod] == nil {
		p.kept[pod] = map[string]*metrics.Series{}
	}
	for _, s := range samples {
		id := s.Metric.String()
		series := p.kept[pod][id]
		if series == nil {
			series = &metrics.Series{Pod: pod, Labels: map[string]string{}}
			for name, value := range s.Metric {
				series.Labels[string(name)] = string(value)
			}
			p.kept[pod][id] = series
		}
		series.Samples = append(series.Samples, metrics.Sample{At: at, Value: float64(s.Value)})
		p.callers[pod] = p.callers[pod] || s.Value > 0
	}
}

// since are the samples of (from, to], in a fixed order; what is older is forgotten.
func (p *Proxies) since(from, to time.Time) []metrics.Series {
	var out []metrics.Series
	for _, pod := range slices.Sorted(maps.Keys(p.kept)) {
		for _, id := range slices.Sorted(maps.Keys(p.kept[pod])) {
			s := p.kept[pod][id]
			s.Samples = slices.DeleteFunc(s.Samples, func(x metrics.Sample) bool { return !x.At.After(from) })
			if len(s.Samples) == 0 {
				delete(p.kept[pod], id)
				continue
			}
			told := metrics.Series{Pod: s.Pod, Labels: s.Labels}
			for _, x := range s.Samples {
				if !x.At.After(to) {
					told.Samples = append(told.Samples, x)
				}
			}
			if len(told.Samples) > 0 {
				out = append(out, told)
			}
		}
	}
	return out
}
