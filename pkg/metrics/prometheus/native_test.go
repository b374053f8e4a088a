package prometheus

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// The API gives bucket bounds; schema and indexes are read out of them.
func TestNativeHistogramsAreRead(t *testing.T) {
	h := &model.SampleHistogram{Count: 12, Buckets: model.HistogramBuckets{
		{Boundaries: 3, Lower: -0.001, Upper: 0.001, Count: 2},
		{Boundaries: 0, Lower: 0.25, Upper: 0.2973017787506803, Count: 7}, // schema 2: γ = 2^(1/4)
		{Boundaries: 0, Lower: 1, Upper: 1.189207115002721, Count: 3},
	}}
	at := model.TimeFromUnix(100)
	raw := &model.SampleStream{Metric: model.Metric{"__name__": "istio_request_duration_seconds", "namespace": "shop", "pod": "a", "job": "x"},
		Histograms: []model.SampleHistogramPair{{Timestamp: at, Histogram: h}, {Timestamp: at}}}
	got := decode(model.Matrix{raw})
	if len(got) != 1 || got[0].Pod != "shop/a" || len(got[0].Samples) != 1 || !got[0].Samples[0].At.Equal(time.Unix(100, 0)) {
		t.Fatalf("%+v", got)
	}
	e := got[0].Samples[0].Native
	if e.Schema != 2 || e.Count != 12 || e.Zero != 2 || e.Buckets[-7] != 7 || e.Buckets[1] != 3 {
		t.Errorf("%+v", e)
	}
}
