package metrics

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const prefix = "envoy_vhost_cart_route_mp_r9_"

func byRequest() Query {
	return Query{Rules: []SeriesRule{
		{NameContains: "_new_upstream_rq_time_bucket", Side: New, Class: ClassDuration},
		{NameContains: "_old_upstream_rq_time_bucket", Side: Old, Class: ClassDuration},
		{NameContains: "_new_upstream_rq", Side: New, Class: ClassCode},
		{NameContains: "_old_upstream_rq", Side: Old, Class: ClassCode},
	}}
}

// code is a series with samples at seconds after start: at, value, at, value and so on.
func code(pod, name, code string, points ...float64) Series {
	labels := map[string]string{"__name__": prefix + name}
	if code != "" {
		labels[CodeLabel] = code
	}
	return Series{Labels: labels, Pod: pod, Samples: points2(points)}
}

func bucket(pod, side, le string, points ...float64) Series {
	return Series{Labels: map[string]string{"__name__": prefix + side + "_upstream_rq_time_bucket", "le": le}, Pod: pod, Samples: points2(points)}
}

func points2(points []float64) []Sample {
	var out []Sample
	for i := 0; i+1 < len(points); i += 2 {
		out = append(out, Sample{At: sec(points[i]), Value: points[i+1]})
	}
	return out
}

func sec(s float64) time.Time { return start().Add(time.Duration(s * float64(time.Second))) }

// interval is one Step with what its tick must total.
type interval struct {
	from, to float64
	series   []Series
	new, old float64 // requests
	newBad   float64
}

func TestIncrements(t *testing.T) {
	const a, b = "shop/a", "shop/b"
	cases := map[string]struct {
		query Query
		start map[string]time.Time
		steps []interval
	}{
		"a baseline is not counted, what follows is": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, 130, 20, 150)}, 0, 50, 0},
			{30, 45, []Series{code(a, "old_upstream_rq", "200", 5, 130, 20, 150, 35, 160)}, 0, 10, 0},
		}},
		"the first sample of an unknown pod is a baseline": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", 5, 1e6, 20, 1e6+7)}, 0, 7, 0},
		}},
		"a new series of a pod seen before began at 0": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, 130), code(a, "new_upstream_rq", "503", 5, 9, 20, 12)}, 12, 30, 12},
			{30, 45, []Series{code(a, "new_upstream_rq", "503", 20, 12, 35, 20)}, 8, 0, 8},
		}},
		"a statPrefix's zeros make the pod known": {steps: []interval{
			{0, 30, []Series{code(a, "new_upstream_rq_total", "", 5, 0, 20, 40), code(a, "new_upstream_rq", "200", 20, 40)}, 40, 0, 0},
		}},
		"a pod that started later began at 0": {start: map[string]time.Time{a: sec(3)}, steps: []interval{
			{0, 30, []Series{code(a, "new_upstream_rq", "200", 5, 25)}, 25, 0, 0},
		}},
		"a pod that started before did not": {start: map[string]time.Time{a: sec(-3)}, steps: []interval{
			{0, 30, []Series{code(a, "new_upstream_rq", "200", 5, 25)}, 0, 0, 0},
		}},
		"all series of the query were born with the rollout": {query: Query{Rules: byRequest().Rules, FromZero: true}, steps: []interval{
			{0, 30, []Series{code(a, "new_upstream_rq", "503", 5, 25)}, 25, 0, 25},
		}},
		"a reset counts the new value": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, 7, 20, 10)}, 0, 10, 0},
		}},
		"a gap loses nothing": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, 110)}, 0, 10, 0},
			{15, 600, nil, 0, 0, 0},
			{600, 615, []Series{code(a, "old_upstream_rq", "200", 605, 500)}, 0, 390, 0},
		}},
		"a series that went while its pod was scraped keeps its value": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, 110), code(a, "old_upstream_rq", "503", -10, 50, 5, 50)}, 0, 10, 0},
			{15, 300, []Series{code(a, "old_upstream_rq", "200", 200, 120)}, 0, 10, 0},
			{300, 315, []Series{code(a, "old_upstream_rq", "200", 310, 120), code(a, "old_upstream_rq", "503", 310, 52)}, 0, 2, 0},
		}},
		"a late sample is counted once it is there": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -2, 100)}, 0, 0, 0},
			{15, 30, []Series{code(a, "old_upstream_rq", "200", -2, 100, 14, 110, 29, 120)}, 0, 20, 0},
		}},
		"a sample after the interval waits": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -2, 100, 14, 110, 16, 120)}, 0, 10, 0},
			{15, 30, []Series{code(a, "old_upstream_rq", "200", 14, 110, 16, 120)}, 0, 10, 0},
		}},
		"what spans two exposures is nobody's": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -2, 100, 13, 110)}, 0, 10, 0},
			{20, 35, []Series{code(a, "old_upstream_rq", "200", 13, 110, 28, 160), code(a, "old_upstream_rq", "503", 28, 5)}, 0, 0, 0},
			{35, 50, []Series{code(a, "old_upstream_rq", "200", 28, 160, 43, 170), code(a, "old_upstream_rq", "503", 28, 5, 43, 6)}, 0, 11, 0},
		}},
		"a series that appears with more than a pod can serve is a baseline": {steps: []interval{
			{0, 15, []Series{code(a, "old_upstream_rq", "200", -2, 100, 13, 115)}, 0, 15, 0},
			{15, 30, []Series{code(a, "old_upstream_rq", "200", 28, 130), code(a, "old_upstream_rq", "503", 28, 90000)}, 0, 15, 0},
			{30, 45, []Series{code(a, "old_upstream_rq", "503", 43, 90003)}, 0, 3, 0},
		}},
		"impossible values are ignored": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 100, 5, math.NaN(), 10, math.Inf(1), 15, -3, 20, 110)}, 0, 10, 0},
		}},
		"samples out of order are put in order": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", 20, 120, -10, 100, 5, 110)}, 0, 20, 0},
		}},
		"totals by class do not count twice": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 1, 5, 4), {Labels: map[string]string{"__name__": prefix + "old_upstream_rq", "response_code_class": "2xx"},
				Pod: a, Samples: points2([]float64{-10, 1, 5, 4})}}, 0, 3, 0},
		}},
		"two pods are two counters": {steps: []interval{
			{0, 30, []Series{code(a, "old_upstream_rq", "200", -10, 1, 5, 4), code(b, "old_upstream_rq", "200", -10, 1000, 5, 1001)}, 0, 4, 0},
		}},
		"by instance the pod gives the side": {
			query: Query{Rules: []SeriesRule{{NameContains: "upstream_rq", Class: ClassCode}}, Instances: map[string]Side{a: New, b: Old}},
			steps: []interval{{0, 30, []Series{code(a, "upstream_rq", "503", -10, 1, 5, 4), code(b, "upstream_rq", "200", -10, 1000, 5, 1001),
				code("shop/stranger", "upstream_rq", "200", -10, 0, 5, 50)}, 3, 1, 3}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			q := c.query
			if q.Rules == nil {
				q = byRequest()
			}
			counters := NewCounters(q).WithStarts(c.start)
			for i, s := range c.steps {
				before := fmt.Sprint(counters)
				next, tick := counters.Step(s.series, sec(s.from), sec(s.to))
				n, o := tick.Total(New), tick.Total(Old)
				if n.Requests != s.new || o.Requests != s.old || n.Errors != s.newBad {
					t.Errorf("interval %d: new %v (%v bad), old %v; want %v (%v), %v", i, n.Requests, n.Errors, o.Requests, s.new, s.newBad, s.old)
				}
				if fmt.Sprint(counters) != before {
					t.Errorf("interval %d: Step changed its receiver", i)
				}
				counters = next
			}
		})
	}
}

// A pod that changes its side belongs to the old one up to the change and to the new one after.
func TestSideChange(t *testing.T) {
	q := Query{Rules: []SeriesRule{{NameContains: "upstream_rq", Class: ClassCode}}, Instances: map[string]Side{"shop/a": Old}}
	c, tick := NewCounters(q).Step([]Series{code("shop/a", "upstream_rq", "200", -5, 0, 10, 10)}, sec(0), sec(15))
	if tick.Total(Old).Requests != 10 {
		t.Fatal(tick.Pods)
	}
	q.Instances = map[string]Side{"shop/a": New}
	c, tick = c.WithQuery(q).Step([]Series{code("shop/a", "upstream_rq", "200", 14, 14, 25, 25, 40, 45)}, sec(15), sec(45))
	if o, n := tick.Total(Old).Requests, tick.Total(New).Requests; o != 4 || n != 31 {
		t.Errorf("old %v, new %v", o, n)
	}
	if _, tick = c.Step([]Series{code("shop/a", "upstream_rq", "200", 55, 50)}, sec(45), sec(60)); tick.Total(New).Requests != 5 {
		t.Error(tick.Pods)
	}
}

func TestSlowRequests(t *testing.T) {
	series := []Series{
		bucket("shop/a", "new", "0.5", -5, 0, 10, 0), bucket("shop/a", "new", "100", -5, 10, 10, 90),
		bucket("shop/a", "new", "250", -5, 10, 10, 100), bucket("shop/a", "new", "+Inf", -5, 10, 10, 110),
		bucket("shop/b", "new", "100", -5, 0, 10, 0), bucket("shop/b", "new", "+Inf", -5, 0, 10, 5), bucket("shop/b", "new", "x", -5, 0, 10, 5),
	}
	_, tick := NewCounters(byRequest()).Step(series, sec(0), sec(15))
	got := tick.Total(New)
	want := map[float64]float64{0.5: 100, 100: 25, 250: 10}
	if got.Timed != 105 || !reflect.DeepEqual(got.Slow, want) || got.Requests != 0 {
		t.Errorf("%v of %v, want %v", got.Slow, got.Timed, want)
	}
	if len(tick.Problems) == 0 || !strings.Contains(tick.Problems[0], "bucket bound") {
		t.Error(tick.Problems)
	}
	s := Series{Labels: map[string]string{"__name__": "outbound_http_route_request_duration_seconds_bucket", "le": "0.5"}}
	if bound, ok := bucketBound(s); !ok || bound != 500 {
		t.Error("seconds are not scaled:", bound)
	}
}

// Many bad samples are reported in few words.
func TestProblemsAreBounded(t *testing.T) {
	var series []Series
	for i := range 50 {
		series = append(series, code(fmt.Sprint("shop/", i), "old_upstream_rq", "200", 5, math.NaN()))
	}
	_, tick := NewCounters(byRequest()).Step(series, sec(0), sec(15))
	if n := len(tick.Problems); n != maxProblems+1 || tick.Problems[n-1] != "and 45 more" {
		t.Error(tick.Problems)
	}
	if !tick.Newest.IsZero() {
		t.Error("an unusable sample counted as fresh")
	}
}

func TestForgetsPodsThatAreGone(t *testing.T) {
	c, _ := NewCounters(byRequest()).Step([]Series{code("shop/a", "old_upstream_rq", "200", 5, 10)}, sec(0), sec(15))
	c, _ = c.Step([]Series{code("shop/b", "old_upstream_rq", "200", 5000, 10)}, sec(15), sec(5000))
	if len(c.readings) != 1 || len(c.pods) != 1 {
		t.Errorf("%d readings, %d pods", len(c.readings), len(c.pods))
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		rules                CodeRules
		code, grpc, flags    string
		bad, refused, nobody bool
	}{
		{code: "200"}, {code: "503", bad: true}, {code: "0", bad: true}, {code: "429"}, {code: "404"}, {code: "5x"},
		{code: "200", grpc: "14", bad: true}, {code: "200", grpc: "0"}, {code: "200", grpc: "7"},
		{rules: CodeRules{Refused: []string{"429"}}, code: "429", bad: true, refused: true},
		{rules: CodeRules{Refused: []string{"429"}}, code: "503", bad: true},
		{rules: CodeRules{RefusedFlags: []string{"UO"}}, code: "503", flags: "UO", bad: true, refused: true},
		{rules: CodeRules{Bad: []string{"4xx"}}, code: "404", bad: true}, {rules: CodeRules{Bad: []string{"4xx"}}, code: "503"},
	} {
		bad, refused := c.rules.orDefault().Judge(map[string]string{CodeLabel: c.code, grpcLabel: c.grpc, flagsLabel: c.flags})
		if bad != c.bad || refused != c.refused {
			t.Errorf("%v with %v: bad %v, refused %v", c, c.rules, bad, refused)
		}
	}
}

func TestRefusedCounts(t *testing.T) {
	q := byRequest()
	q.Codes = CodeRules{Refused: []string{"429"}}
	_, tick := NewCounters(q).Step([]Series{code("shop/a", "new_upstream_rq", "200", -5, 0, 5, 90), code("shop/a", "new_upstream_rq", "429", -5, 0, 5, 10)}, sec(0), sec(15))
	want := Counts{Requests: 100, Errors: 10, Refused: 10, Codes: map[string]float64{"200": 90, "429": 10}}
	if got := tick.Total(New); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRulesMatchLabels(t *testing.T) {
	q := Query{Rules: []SeriesRule{
		{NameContains: "istio_requests_total", Label: "meshpol_cohort", Value: "new", Side: New, Class: ClassCode},
		{NameContains: "istio_requests_total", Label: "meshpol_cohort", Side: Old, Class: ClassCode},
	}}
	for cohort, want := range map[string]Side{"new": New, "": Old, "other": ""} {
		labels := map[string]string{"__name__": "istio_requests_total", CodeLabel: "200"}
		if cohort != "" {
			labels["meshpol_cohort"] = cohort
		}
		if rule, ok := q.classOf(Series{Labels: labels}); rule.Side != want || ok != (want != "") {
			t.Errorf("%q: %v %v", cohort, rule, ok)
		}
	}
}

func TestCallers(t *testing.T) {
	got := CallersOf([]Series{code("shop/b", "x", "200", 1, 0, 2, 5), code("shop/a", "x", "200", 1, 3), code("shop/a", "x", "503", 1, 3), code("shop/c", "x", "200", 1, 0), code("", "x", "200", 1, 9)})
	if want := []string{"shop/a", "shop/b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A restarted runner that reads from the saved tick on counts what the first one would have. (Where a pod restarts and a
// series of its earlier life is gone until minutes later, the first runner still knows its old value and counts less.)
func TestRestartEquals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series := drawSeries(t)
		cut := rapid.IntRange(1, 7).Draw(t, "cut")
		window := func(to float64) []Series { return between(series, to-60, to) }
		whole := NewCounters(byRequest())
		again := NewCounters(byRequest())
		for i := range 8 {
			from, to := float64(i*15), float64(i*15+15)
			var x, y Tick
			whole, x = whole.Step(window(to), sec(from), sec(to))
			if i < cut {
				continue
			}
			again, y = again.Step(window(to), sec(from), sec(to))
			if !reflect.DeepEqual(x.Total(New), y.Total(New)) || !reflect.DeepEqual(x.Total(Old), y.Total(Old)) {
				t.Fatalf("tick %d: %v %v, restarted %v %v", i, x.Total(New), x.Total(Old), y.Total(New), y.Total(Old))
			}
		}
	})
}

// Whatever the cut into intervals, each request is counted once.
func TestEverythingCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series := drawSeries(t)
		_, all := NewCounters(byRequest()).Step(series, sec(0), sec(120))
		parts := NewCounters(byRequest())
		var sum Counts
		for from := 0.0; from < 120; {
			to := min(120, from+rapid.Float64Range(1, 40).Draw(t, "length"))
			var tick Tick
			parts, tick = parts.Step(between(series, to-rapid.Float64Range(60, 200).Draw(t, "window"), to), sec(from), sec(to))
			sum = sum.Plus(tick.Total(New)).Plus(tick.Total(Old))
			from = to
		}
		want := all.Total(New).Plus(all.Total(Old))
		if sum.Requests != want.Requests || sum.Errors != want.Errors {
			t.Fatalf("%v in parts, %v at once", sum, want)
		}
	})
}

// drawSeries draws pods that are scraped every 15 s from -60 s to 120 s with counters that grow, and now and then start
// again at 0; a code's series appears with its first request.
func drawSeries(t *rapid.T) []Series {
	var out []Series
	for pod := range rapid.IntRange(1, 3).Draw(t, "pods") {
		offset := rapid.Float64Range(0, 14).Draw(t, "offset")
		restart := rapid.IntRange(-4, 20).Draw(t, "restart")
		name := fmt.Sprint("shop/", pod)
		out = append(out, Series{Labels: map[string]string{"__name__": prefix + "old_upstream_rq_total"}, Pod: name})
		marker := &out[len(out)-1]
		for k := -4; k < 8; k++ {
			marker.Samples = append(marker.Samples, Sample{At: sec(float64(k*15) + offset)})
		}
		for _, c := range []string{"200", "503"} {
			s := code(name, rapid.SampledFrom([]string{"new", "old"}).Draw(t, "side")+"_upstream_rq", c)
			v := 0.0
			for k := -4; k < 8; k++ {
				if k == restart {
					v = 0
				}
				v += float64(rapid.IntRange(0, 20).Draw(t, "n"))
				if v > 0 || len(s.Samples) > 0 {
					s.Samples = append(s.Samples, Sample{At: sec(float64(k*15) + offset), Value: v})
				}
			}
			out = append(out, s)
		}
	}
	return out
}

func between(series []Series, from, to float64) []Series {
	var out []Series
	for _, s := range series {
		cut := Series{Labels: s.Labels, Pod: s.Pod}
		for _, x := range s.Samples {
			if x.At.After(sec(from)) && !x.At.After(sec(to)) {
				cut.Samples = append(cut.Samples, x)
			}
		}
		if len(cut.Samples) > 0 {
			out = append(out, cut)
		}
	}
	return out
}

// Nothing that a source can send makes a count negative, NaN or larger than what the samples can explain.
func FuzzCounters(f *testing.F) {
	f.Add(5.0, 10.0, 3.0, -1.0, 20.0, 7.0)
	f.Add(0.0, math.NaN(), 5.0, math.Inf(1), 5.0, 1e300)
	f.Fuzz(func(t *testing.T, t1, v1, t2, v2, t3, v3 float64) {
		within := func(s float64) float64 { return math.Mod(math.Abs(s), 100) }
		if math.IsNaN(t1+t2+t3) || math.IsInf(t1+t2+t3, 0) {
			return
		}
		series := []Series{code("shop/a", "new_upstream_rq", "503", within(t1), v1, within(t2), v2, within(t3), v3), code("shop/a", "old_upstream_rq", "200", -1, 0)}
		c, tick := NewCounters(byRequest()).Step(series, sec(0), sec(50))
		_, last := c.Step(series, sec(50), sec(100))
		sum := tick.Total(New).Plus(last.Total(New))
		most := math.Max(0, v1) + math.Max(0, v2) + math.Max(0, v3)
		if sum.Requests < 0 || math.IsNaN(sum.Requests) || (!math.IsNaN(most) && sum.Requests > most*(1+1e-9)) {
			t.Fatalf("%v of at most %v", sum, most)
		}
	})
}
