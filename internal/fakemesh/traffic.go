package fakemesh

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Traffic is what flows through the mesh.
type Traffic struct {
	// RPS is what each pod sends.
	RPS float64
	// Scrape is the time between two samples; 5 s where it is zero.
	Scrape time.Duration
	// Fails is the share of the requests of a pod through a route that fail with 503; nil: none.
	Fails func(Route) float64
}

// Route is what a request takes.
type Route struct {
	Pod policy.Pod
	// Entry is the http entry; Objects everything that the pod's proxy holds.
	Entry   map[string]any
	Objects Objects
}

// counter is one series with its samples; owed is the part of a failed request that was not counted yet.
type counter struct {
	pod, name, code string
	value           float64
	samples         []metrics.Sample
}

const keptSamples = 400

// SetTraffic changes what flows from now on.
func (w *World) SetTraffic(change func(*Traffic)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(time.Now())
	change(&w.Traffic)
}

// count makes the samples up to a time. The caller holds the lock.
func (w *World) count(to time.Time) {
	step := w.Traffic.Scrape
	if step <= 0 {
		step = 5 * time.Second
	}
	if w.Traffic.RPS <= 0 {
		w.counted, w.flowed = to, to
		return
	}
	for at := w.counted.Add(step); !at.After(to); at = at.Add(step) {
		w.flowTo(at)
		w.sample(at)
		w.counted = at
	}
}

// flowTo lets everything flow that was sent up to a time. The caller holds the lock.
func (w *World) flowTo(at time.Time) {
	took := at.Sub(w.flowed).Seconds()
	for _, p := range w.podList("") {
		if p.Proxy {
			w.flow(p, at, w.Traffic.RPS*took)
		}
	}
	w.flowed = at
}

// flow sends a pod's requests through the routes that its proxy holds.
func (w *World) flow(p policy.Pod, at time.Time, requests float64) {
	view, p := w.seenBy(p, at)
	for _, ref := range sortedRefs(view) {
		if ref.Kind != "VirtualService" {
			continue
		}
		left := 1.0
		for _, e := range routesOf(view[ref].Object, p) {
			share := min(left, w.shareOf(e, p))
			left -= share
			if stat := statOf(e, p); stat != "" {
				w.book(Route{Pod: p, Entry: e, Objects: view}, stat, share*requests)
			}
		}
	}
}

func (w *World) book(r Route, stat string, n float64) {
	fails := 0.0
	if w.Traffic.Fails != nil {
		fails = n * w.Traffic.Fails(r)
	}
	name := "envoy_vhost_any_80_route_" + flat(stat) + "_upstream_rq"
	w.counter(r.Pod.ID(), name, "200").value += n - fails
	w.counter(r.Pod.ID(), name, "503").value += fails
}

func (w *World) counter(pod, name, code string) *counter {
	key := pod + " " + name + " " + code
	c := w.counters[key]
	if c == nil {
		c = &counter{pod: pod, name: name, code: code}
		w.counters[key] = c
	}
	return c
}

func (w *World) sample(at time.Time) {
	for _, c := range w.counters {
		if _, lives := w.pods[c.pod]; !lives {
			continue
		}
		c.samples = append(c.samples, metrics.Sample{At: at, Value: c.value})
		if len(c.samples) > keptSamples {
			c.samples = slices.Clone(c.samples[keptSamples/2:])
		}
	}
}

// Read implements metrics.Provider. It answers with every series there is: the query's rules pick.
func (n *Node) Read(ctx context.Context, q metrics.Query, now time.Time, window time.Duration) (out []metrics.Series, err error) {
	err = n.do(ctx, "read", q.Selector, func() error {
		n.World.count(now)
		for _, key := range slices.Sorted(maps.Keys(n.World.counters)) {
			c := n.World.counters[key]
			s := metrics.Series{Pod: c.pod, Labels: map[string]string{"__name__": c.name, metrics.CodeLabel: c.code}}
			for _, x := range c.samples {
				if x.At.After(now.Add(-window)) && !x.At.After(now) {
					s.Samples = append(s.Samples, x)
				}
			}
			if len(s.Samples) > 0 {
				out = append(out, s)
			}
		}
		return nil
	})
	return out, err
}

// flat is a name as Prometheus gets it from Envoy.
func flat(s string) string {
	return strings.Map(func(r rune) rune {
		if ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9') {
			return r
		}
		return '_'
	}, s)
}

// shareOf is the share of a pod's requests that an entry matches, as far as the entries before it leave them.
func (w *World) shareOf(e map[string]any, p policy.Pod) float64 {
	matches := list(e["match"])
	if len(matches) == 0 {
		return 1
	}
	share := 0.0
	for _, m := range matches {
		if !labelsFit(m, p) {
			continue
		}
		headers, _ := m["headers"].(map[string]any)
		if len(headers) == 0 {
			return 1
		}
		if pattern, ok := dig(m, "headers", "x-request-id", "regex").(string); ok {
			share += w.Shares.of(pattern)
		}
	}
	return share
}

// Shares remembers what share of all request ids a pattern matches. Worlds may have one together.
type Shares struct {
	mu    sync.Mutex
	known map[string]float64
}

// of is the share of a pattern whose last group lists the endings of ids.
func (s *Shares) of(pattern string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share, ok := s.known[pattern]; ok {
		return share
	}
	tail := strings.TrimSuffix(pattern[strings.LastIndex(pattern, "(")+1:], ")")
	ending := regexp.MustCompile("^(" + tail + ")$")
	n := 0
	for id := range policy.Buckets {
		if ending.MatchString(fmt.Sprintf("%03x", id)) {
			n++
		}
	}
	if s.known == nil {
		s.known = map[string]float64{}
	}
	s.known[pattern] = float64(n) / policy.Buckets
	return s.known[pattern]
}

func statOf(e map[string]any, p policy.Pod) string {
	for _, m := range list(e["match"]) {
		if s, ok := m["statPrefix"].(string); ok && labelsFit(m, p) {
			return s
		}
	}
	return ""
}
