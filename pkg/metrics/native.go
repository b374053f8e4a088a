package metrics

import (
	"fmt"
	"math"
	"strings"
)

// coarsest is the finest schema that native histograms are counted at: four buckets per doubling. Finer ones are merged
// down, which is exact, so that a state keeps few bounds.
const coarsest = 2

// Exponential is a native (exponential) histogram: bucket i counts (γ^(i−1), γ^i], γ = 2^(2^−Schema), in the unit of its
// series. Buckets below zero are not for durations.
type Exponential struct {
	Schema int
	// Count is every observation, Zero those in the bucket around zero.
	Count, Zero float64
	Buckets     map[int]float64
}

// Lower merges buckets down to a lower schema: each step halves the resolution, bucket i goes into ⌈i/2⌉. A schema that
// is not lower leaves it as it is.
func (e Exponential) Lower(schema int) Exponential {
	for e.Schema > schema {
		merged := make(map[int]float64, len(e.Buckets)/2+1)
		for i, n := range e.Buckets {
			merged[int(math.Ceil(float64(i)/2))] += n
		}
		e.Schema, e.Buckets = e.Schema-1, merged
	}
	return e
}

// since is the increment from an earlier sample, both at the lower of their schemas; a lower count or bucket is a reset,
// after which all of it is new.
func (e Exponential) since(last Exponential) Exponential {
	e = e.Lower(last.Schema)
	last = last.Lower(e.Schema)
	out := Exponential{Schema: e.Schema, Count: e.Count - last.Count, Zero: e.Zero - last.Zero, Buckets: map[int]float64{}}
	reset := out.Count < 0 || out.Zero < 0
	for i, n := range e.Buckets {
		out.Buckets[i] = n - last.Buckets[i]
		reset = reset || out.Buckets[i] < 0
	}
	for i, n := range last.Buckets {
		if _, there := e.Buckets[i]; !there && n > 0 {
			reset = true
		}
	}
	if reset {
		return e
	}
	return out
}

// plus adds two histograms at the lower of their schemas.
func (e Exponential) plus(o Exponential) Exponential {
	if e.Count == 0 && len(e.Buckets) == 0 {
		return o
	}
	e, o = e.Lower(o.Schema), o.Lower(e.Schema)
	out := Exponential{Schema: e.Schema, Count: e.Count + o.Count, Zero: e.Zero + o.Zero, Buckets: map[int]float64{}}
	for _, m := range []map[int]float64{e.Buckets, o.Buckets} {
		for i, n := range m {
			out.Buckets[i] += n
		}
	}
	return out
}

// The edges that native histograms are counted at, in milliseconds. All of them are given, with or without a bucket, so
// that pods can be added up.
const (
	nativeLeast = 1
	nativeMost  = 20000
)

// counts are the requests above each edge; unit turns edges into milliseconds.
func (e Exponential) counts(unit float64) Counts {
	c := Counts{Timed: e.Count, Slow: map[float64]float64{}}
	width := math.Exp2(-float64(e.Schema))
	last := int(math.Floor(math.Log2(nativeMost/unit) / width))
	for i := int(math.Ceil(math.Log2(nativeLeast/unit) / width)); i <= last; i++ {
		above := 0.0
		for k, n := range e.Buckets {
			if k > i {
				above += n
			}
		}
		c.Slow[math.Exp2(float64(i)*width)*unit] = above
	}
	return c
}

// usable tells what is wrong with a histogram, or nothing.
func (e Exponential) usable() error {
	if e.Schema < -4 || e.Schema > 8 {
		return fmt.Errorf("the schema %d, which is none of -4 to 8", e.Schema)
	}
	bad := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v < 0 }
	for _, n := range e.Buckets {
		if bad(n) {
			return fmt.Errorf("the bucket count %v, which no counter can have", n)
		}
	}
	if bad(e.Count) || bad(e.Zero) {
		return fmt.Errorf("the count %v, which no counter can have", e.Count)
	}
	return nil
}

// nativeKey parts native increments by unit too: one pod's side may count seconds and milliseconds.
type nativeKey struct {
	bucketKey
	unit float64
}

// addNative books what a native histogram counted since its last sample. A series that was classic before is not judged.
func (w *stepWork) addNative(s Series, side Side, x, last Sample, known bool) {
	if x.Native == nil || known && last.Native == nil {
		w.mixed(s.Labels[nameLabel], s.Pod)
		return
	}
	before := Sample{At: last.At}
	if known {
		before.Value = last.Native.Count
	}
	n := w.increment(observed{id: s.identity(), series: s}, Sample{At: x.At, Value: x.Native.Count}, before, known)
	if n <= 0 || side == "" {
		return
	}
	inc := x.Native.Lower(coarsest)
	if known {
		inc = inc.since(last.Native.Lower(coarsest))
	}
	unit := 1.0
	if strings.HasSuffix(s.Labels[nameLabel], "_seconds") {
		unit = 1000
	}
	key := nativeKey{bucketKey{s.Pod, side}, unit}
	w.natives[key] = w.natives[key].plus(inc)
}

// finishNative books the native histograms. Where a pod's side has classic ones too, every request would count twice.
func (w *stepWork) finishNative() {
	schema := coarsest // pods can only be added up at the edges that all of them have
	for _, inc := range w.natives {
		schema = min(schema, inc.Schema)
	}
	for key, inc := range w.natives {
		inc = inc.Lower(schema)
		if classic := w.buckets[key.bucketKey]; classic[math.Inf(1)] > 0 {
			w.mixed("latency", key.pod)
			continue
		}
		w.book(key.pod, key.side, inc.counts(key.unit))
	}
}

// mixed notes that a latency cannot be judged. The first pod by name is told of.
func (w *stepWork) mixed(name, pod string) {
	text := fmt.Sprintf("%s of %s is counted both as a classic and as a native histogram", name, pod)
	if w.tick.Unusable == "" || text < w.tick.Unusable {
		w.tick.Unusable = text
	}
}
