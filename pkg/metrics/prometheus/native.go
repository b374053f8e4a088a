package prometheus

import (
	"math"

	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// native makes a series of a raw series' native histograms; it keeps all labels that are not the target's.
func native(raw *model.SampleStream) metrics.Series {
	s := series(raw.Metric, ownLabel, nil)
	for _, h := range raw.Histograms {
		if h.Histogram != nil {
			s.Samples = append(s.Samples, metrics.Sample{At: h.Timestamp.Time().UTC(), Native: exponential(h.Histogram)})
		}
	}
	return s
}

// exponential reads the schema and the indexes out of the bucket bounds, which is how the API writes them: bucket i of
// schema n ends at 2^(i·2^−n).
func exponential(h *model.SampleHistogram) *metrics.Exponential {
	e := &metrics.Exponential{Count: float64(h.Count), Buckets: map[int]float64{}}
	for _, b := range h.Buckets {
		if b != nil && b.Lower > 0 && b.Upper > b.Lower {
			e.Schema = int(math.Round(-math.Log2(math.Log2(float64(b.Upper / b.Lower)))))
			break
		}
	}
	for _, b := range h.Buckets {
		switch {
		case b == nil:
		case b.Lower <= 0:
			e.Zero += float64(b.Count)
		default:
			e.Buckets[int(math.Round(math.Log2(float64(b.Upper))*math.Pow(2, float64(e.Schema))))] += float64(b.Count)
		}
	}
	return e
}
