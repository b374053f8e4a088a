package metrics

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// told is what a lying source made of a counter, and what the interval after must say of it.
type told struct {
	points   []float64 // after 30 s of 10 requests a second, 100 to 400
	requests float64
	says     string
	unusable bool
}

// A series that has gone up and down is not believed again before it has risen for a while.
func TestASeriesThatWentUpAndDownIsNotBelievedAtOnce(t *testing.T) {
	counters, _ := NewCounters(byRequest()).Step([]Series{code("shop/a", "old_upstream_rq", "200", -1, 100, 10, 110)}, sec(0), sec(20))
	value := 110.0
	for i, c := range []struct {
		to       float64
		believed bool
	}{{55, true}, {112, true}, {56, false}, {114, false}, {116, false}, {118, false}, {120, false}, {122, false}, {124, true}, {126, true}} {
		at := 22 + 2*float64(i)
		var tick Tick
		counters, tick = counters.Step([]Series{code("shop/a", "old_upstream_rq", "200", at, c.to)}, sec(at-2), sec(at))
		if (tick.Unusable == "") != c.believed {
			t.Errorf("from %v to %v: %q", value, c.to, tick.Unusable)
		}
		value = c.to
	}
}

func TestSeriesThatAreNoCounters(t *testing.T) {
	for name, c := range map[string]told{
		"an honest counter":               {points: []float64{32, 420, 34, 440, 36, 460}, requests: 60},
		"a restart":                       {points: []float64{32, 20, 34, 40, 36, 60}, requests: 60},
		"a restart with three times more": {points: []float64{32, 60, 34, 120, 36, 180}, requests: 180},
		"back and forth":                  {points: []float64{32, 100, 34, 440, 36, 100}, unusable: true, says: "goes up and down (440, 100), as no counter does"},
		"a fall too small for a restart":  {points: []float64{32, 380, 34, 400, 36, 420}, requests: 0, unusable: true, says: "fell from 400 and is 420 again"},
		"one that comes back at once":     {points: []float64{32, 5, 34, 425}, unusable: true, says: "fell from 400 and is 425 again"},
		"a jump up":                       {points: []float64{32, 1e15}, unusable: true, says: "rose by 1e+15 in 2 s"},
		"the largest number there is":     {points: []float64{32, math.MaxFloat64}, unusable: true, says: "rose by"},
	} {
		t.Run(name, func(t *testing.T) {
			series := func(points ...float64) []Series { return []Series{code("shop/a", "old_upstream_rq", "200", points...)} }
			counters, before := NewCounters(byRequest()).Step(series(-1, 100, 10, 200, 20, 300, 30, 400), sec(0), sec(30))
			if n := before.Total(Old).Requests; n != 300 {
				t.Fatalf("%v requests before", n)
			}
			_, tick := counters.Step(series(c.points...), sec(30), sec(40))
			if n := tick.Total(Old).Requests; n != c.requests {
				t.Errorf("%v requests, want %v: %v", n, c.requests, tick.Problems)
			}
			if (tick.Unusable != "") != c.unusable || !strings.Contains(tick.Unusable+strings.Join(tick.Problems, " "), c.says) {
				t.Errorf("unusable %q, problems %q, want %q", tick.Unusable, tick.Problems, c.says)
			}
		})
	}
}

// Whatever a source says, counts are numbers from 0 up, and errors and refusals are never more than requests.
func TestCountsAreAlwaysNumbers(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1000), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), -1, 0, math.MaxFloat64, 5e-324}))
	rapid.Check(t, func(t *rapid.T) {
		counters := NewCounters(byRequest())
		for tick := range 6 {
			var series []Series
			for range rapid.IntRange(0, 4).Draw(t, "series") {
				name := rapid.SampledFrom([]string{"new_upstream_rq", "old_upstream_rq", "new_upstream_rq_time_bucket"}).Draw(t, "name")
				s := code(rapid.SampledFrom([]string{"shop/a", "shop/b", ""}).Draw(t, "pod"), name, rapid.SampledFrom([]string{"200", "503", ""}).Draw(t, "code"))
				if strings.HasSuffix(name, "bucket") {
					s.Labels["le"] = rapid.SampledFrom([]string{"1", "+Inf", "x"}).Draw(t, "le")
				}
				for range rapid.IntRange(0, 4).Draw(t, "samples") {
					s.Samples = append(s.Samples, Sample{At: sec(rapid.Float64Range(-20, 80).Draw(t, "at")), Value: value.Draw(t, "value")})
				}
				series = append(series, s)
			}
			var got Tick
			counters, got = counters.Step(series, sec(float64(10*tick)), sec(float64(10*tick+10)))
			sane(t, got)
		}
	})
}

// sane wants counts that a judge can work with.
func sane(t interface{ Fatalf(string, ...any) }, tick Tick) {
	for pod, sides := range tick.Pods {
		for side, c := range sides {
			for _, v := range []float64{c.Requests, c.Errors, c.Refused, c.Timed} {
				if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
					t.Fatalf("%s %s: %+v", pod, side, c)
				}
			}
			for bound, n := range c.Slow {
				if math.IsNaN(n) || n < 0 || n > c.Timed {
					t.Fatalf("%s %s: %v of %v above %v", pod, side, n, c.Timed, bound)
				}
			}
			if c.Errors > c.Requests || c.Refused > c.Errors {
				t.Fatalf("%s %s: %+v", pod, side, c)
			}
		}
	}
}
