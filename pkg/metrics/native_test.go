package metrics

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func exponentials(t *rapid.T, name string) Exponential {
	e := Exponential{Schema: rapid.IntRange(-1, 5).Draw(t, name+" schema"), Buckets: map[int]float64{}}
	for range rapid.IntRange(0, 12).Draw(t, name+" buckets") {
		n := float64(rapid.IntRange(1, 50).Draw(t, name+" n"))
		e.Buckets[rapid.IntRange(-20, 40).Draw(t, name+" i")] += n
		e.Count += n
	}
	return e
}

// Merging to a lower schema keeps every count and never moves one below its edge; increments add up.
func TestMergingIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := exponentials(t, "a"), exponentials(t, "b")
		low := a.Lower(a.Schema - 2)
		sum, edges := 0.0, low.counts(1)
		for _, n := range low.Buckets {
			sum += n
		}
		if sum != a.Count || low.Count != a.Count {
			t.Fatal("counts were lost:", sum, a.Count)
		}
		for edge, above := range edges.Slow {
			for fine, n := range a.counts(1).Slow {
				if math.Abs(fine/edge-1) < 1e-9 && n != above {
					t.Fatalf("above %v there are %v, in fine %v", edge, above, n)
				}
			}
		}
		both := a.plus(b)
		if inc := both.since(a); inc.Count != b.Count {
			t.Fatalf("the increment counts %v, not %v", inc.Count, b.Count)
		}
	})
}

func nativeSeries(at time.Time, name string, hs ...Exponential) Series {
	s := Series{Labels: map[string]string{nameLabel: name}, Pod: "shop/a"}
	for i := range hs {
		s.Samples = append(s.Samples, Sample{At: at.Add(time.Duration(i) * 10 * time.Second), Native: &hs[i]})
	}
	return s
}

// Counters count native histograms, through a change of schema and a reset, and refuse a mix with classic ones.
func TestCountersCountNativeHistograms(t *testing.T) {
	q := Query{Rules: []SeriesRule{{NameContains: "duration", Side: New, Class: ClassDuration}}, FromZero: true}
	one := Exponential{Schema: 2, Count: 10, Buckets: map[int]float64{8: 6, 12: 4}} // edges 4 and 8
	two := Exponential{Schema: 1, Count: 15, Buckets: map[int]float64{4: 9, 6: 6}}
	reset := Exponential{Schema: 1, Count: 3, Buckets: map[int]float64{6: 3}}
	from := start()
	_, tick := NewCounters(q).Step([]Series{nativeSeries(from.Add(time.Second), "duration_seconds", one, two, reset)}, from, from.Add(30*time.Second))
	got := tick.Total(New)
	if got.Timed != 18 || math.Abs(got.Slow[4000]-9) > 1e-9 || tick.Unusable != "" {
		t.Errorf("%+v %q", got, tick.Unusable)
	}
	classic := func(le string, n float64) Series {
		return Series{Labels: map[string]string{nameLabel: "duration_bucket", bucketLabel: le}, Pod: "shop/a",
			Samples: []Sample{{At: from.Add(time.Second), Value: n}}}
	}
	mixed := []Series{nativeSeries(from.Add(time.Second), "duration", one), classic("+Inf", 10), classic("25", 5)}
	_, tick = NewCounters(q).Step(mixed, from, from.Add(30*time.Second))
	if !strings.Contains(tick.Unusable, "latency of shop/a is counted both as a classic and as a native histogram") {
		t.Errorf("a mix was counted: %q", tick.Unusable)
	}
	step := ramp()[1]
	step.Started = from
	if _, got := judge(t, nil).Step(State{}, step, tick, from.Add(30*time.Second)); got.Verdict != NoData || !strings.Contains(got.Reason, "native") {
		t.Error(got.Verdict, got.Reason)
	}
	bad := Exponential{Schema: 2, Count: math.NaN()}
	_, tick = NewCounters(q).Step([]Series{nativeSeries(from.Add(time.Second), "duration", bad)}, from, from.Add(30*time.Second))
	if len(tick.Problems) != 1 || tick.Total(New).Timed != 0 {
		t.Errorf("%+v", tick)
	}
}
