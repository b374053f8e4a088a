package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	nameLabel   = "__name__"
	bucketLabel = "le"
)

// classOf is the first rule that a series matches.
func (q Query) classOf(s Series) (SeriesRule, bool) {
	for _, r := range q.Rules {
		if strings.Contains(s.Labels[nameLabel], r.NameContains) && (r.Label == "" || s.Labels[r.Label] == r.Value) {
			return r, countable(r.Class, s)
		}
	}
	return SeriesRule{}, false
}

// countable leaves out what would count a request twice: totals by class (response_code_class) beside those by code,
// and a histogram's _sum and _count beside its buckets (the +Inf bucket is the count).
func countable(c Class, s Series) bool {
	switch c {
	case ClassCode:
		return s.Labels[CodeLabel] != ""
	case ClassAttempt:
		return true
	case ClassDuration:
		return s.Labels[bucketLabel] != "" || s.native()
	default:
		return false
	}
}

// native tells that a series is a native histogram.
func (s Series) native() bool {
	return slices.ContainsFunc(s.Samples, func(x Sample) bool { return x.Native != nil })
}

// bucketBound is a bucket's upper bound in milliseconds; +Inf for the last one. Histograms named …_seconds are scaled.
func bucketBound(s Series) (float64, bool) {
	bound, err := strconv.ParseFloat(s.Labels[bucketLabel], 64)
	if err != nil || math.IsNaN(bound) {
		return 0, false
	}
	if strings.HasSuffix(strings.TrimSuffix(s.Labels[nameLabel], "_bucket"), "_seconds") {
		bound *= 1000
	}
	return bound, true
}

// identity names a series by its pod and its own labels: what the scrape configuration adds is not in it.
func (s Series) identity() string {
	names := make([]string, 0, len(s.Labels))
	for name := range s.Labels {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(s.Pod)
	for _, name := range names {
		b.WriteByte(0)
		b.WriteString(name)
		b.WriteByte(1)
		b.WriteString(s.Labels[name])
	}
	return b.String()
}

// podOf is the pod of an identity.
func podOf(identity string) string {
	pod, _, _ := strings.Cut(identity, "\x00")
	return pod
}

// CallersOf are the pods that have counted at least one request, sorted: the clients of a service in the asked range.
func CallersOf(series []Series) []string {
	var pods []string
	for _, s := range series {
		counted := slices.ContainsFunc(s.Samples, func(x Sample) bool { return x.Value > 0 || x.Native != nil && x.Native.Count > 0 })
		if s.Pod != "" && counted {
			pods = append(pods, s.Pod)
		}
	}
	slices.Sort(pods)
	return slices.Compact(pods)
}
