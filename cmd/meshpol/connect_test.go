package main

import (
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics/prometheus"
)

func TestWhatCannotBeJudgedBy(t *testing.T) {
	for want, d := range map[string]prometheus.Detection{
		"": {Pods: 3, Skew: 5 * time.Second},
		"Prometheus at http://p is 1m0s ahead of this machine's": {Pods: 3, Skew: time.Minute},
		"Prometheus at http://p is 6s behind this machine's":     {Pods: 3, Skew: -6 * time.Second},
		"it must scrape port 15090":                              {},
	} {
		err := usable(d, "http://p")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", d, err, want)
		}
	}
}
