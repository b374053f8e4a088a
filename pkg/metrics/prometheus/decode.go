package prometheus

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// shortGap is how much later than another target's last sample one must be to continue it, where the spacing of the
// other's samples is not known.
const shortGap = 5 * time.Second

// podLabels are the pairs of target labels that name a pod, the first pair that is there counts: the usual relabelling,
// Istio's older sample, and what Prometheus renames a metric's own labels of the same name to.
func podLabels() [][2]model.LabelName {
	return [][2]model.LabelName{
		{"namespace", "pod"},
		{"kubernetes_namespace", "kubernetes_pod_name"},
		{"kubernetes_namespace", "pod"},
		{"namespace", "pod_name"},
		{"exported_namespace", "exported_pod"},
	}
}

// ownLabel tells labels that the proxy itself set from labels of the target, which may change while the counter goes
// on (Istio's sample configuration maps every pod label). Kept are, by exact name or prefix:
//
//	Envoy      response_code response_code_class le quantile envoy_*
//	Istio      reporter request_protocol response_flags grpc_response_status connection_security_policy
//	           source_* destination_* meshpol_*
//	Linkerd    direction classification status_code http_status grpc_status error tls client_id server_id authority
//	           hostname target_* dst_* route_* parent_* backend_* srv_* authz_*
func ownLabel(name model.LabelName) bool {
	switch name {
	case "__name__", "response_code", "response_code_class", "le", "quantile",
		"reporter", "request_protocol", "response_flags", "grpc_response_status", "connection_security_policy",
		"direction", "classification", "status_code", "http_status", "grpc_status", "error", "tls", "client_id", "server_id",
		"authority", "hostname":
		return true
	}
	prefixes := []string{"envoy_", "source_", "destination_", "meshpol_", "target_", "dst_", "route_", "parent_", "backend_", "srv_", "authz_"}
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(string(name), p) })
}

// podOf is "namespace/pod", or the scraped address where no pod label is there, so that pods stay apart anyhow.
func podOf(m model.Metric) string {
	for _, pair := range podLabels() {
		if ns, pod := m[pair[0]], m[pair[1]]; ns != "" && pod != "" {
			return string(ns) + "/" + string(pod)
		}
	}
	return string(m["instance"])
}

// targetOf names the scraped endpoint: one pod may be scraped by two jobs.
func targetOf(m model.Metric) string { return string(m["job"]) + "\x00" + string(m["instance"]) }

// decode groups raw series by identity (pod and own labels).
func decode(matrix model.Matrix) []metrics.Series {
	groups := map[string][]*model.SampleStream{}
	var order []string
	var natives []metrics.Series
	for _, raw := range matrix {
		if raw == nil || len(raw.Values)+len(raw.Histograms) == 0 {
			continue
		}
		if len(raw.Histograms) > 0 {
			natives = append(natives, native(raw))
		}
		if len(raw.Values) == 0 {
			continue
		}
		slices.SortStableFunc(raw.Values, func(a, b model.SamplePair) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
		key := podOf(raw.Metric) + "\x00" + keep(raw.Metric, ownLabel).String()
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], raw)
	}
	slices.Sort(order)
	out := make([]metrics.Series, 0, len(order))
	for _, key := range order {
		out = append(out, joined(groups[key])...)
	}
	return append(out, natives...)
}

func keep(m model.Metric, own func(model.LabelName) bool) model.Metric {
	kept := model.Metric{}
	for name, value := range m {
		if own(name) {
			kept[name] = value
		}
	}
	return kept
}

// joined makes one series of raw series that differ in target labels only. Those of one target that overlap in time are
// not one counter but several with labels unknown to ownLabel (a Telemetry tag of the user): they stay apart.
func joined(raws []*model.SampleStream) []metrics.Series {
	slices.SortFunc(raws, func(a, b *model.SampleStream) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	if severalCounters(raws) {
		out := make([]metrics.Series, 0, len(raws))
		for _, raw := range raws {
			out = append(out, series(raw.Metric, notTarget, raw.Values))
		}
		return out
	}
	values := slices.Clone(raws[0].Values)
	for _, raw := range raws[1:] {
		values = extend(values, raw.Values)
	}
	return []metrics.Series{series(raws[0].Metric, ownLabel, values)}
}

func notTarget(name model.LabelName) bool {
	return !slices.Contains([]model.LabelName{"job", "instance", "namespace", "pod", "node", "container"}, name)
}

func severalCounters(raws []*model.SampleStream) bool {
	for i, a := range raws {
		for _, b := range raws[i+1:] {
			if targetOf(a.Metric) == targetOf(b.Metric) && overlap(a.Values, b.Values) {
				return true
			}
		}
	}
	return false
}

func overlap(a, b []model.SamplePair) bool {
	return a[0].Timestamp <= b[len(b)-1].Timestamp && b[0].Timestamp <= a[len(a)-1].Timestamp
}

// extend adds the samples of another raw series of the same counter where the first has none. Two jobs that scrape one
// pod tell the same counter twice; mixing both could make it seem to fall, so the second only fills clear gaps.
func extend(values, more []model.SamplePair) []model.SamplePair {
	gap := model.Time(shortGap.Milliseconds())
	if n := len(values); n > 1 {
		gap = (values[n-1].Timestamp - values[0].Timestamp) / model.Time(2*(n-1))
	}
	first, last := values[0].Timestamp-gap, values[len(values)-1].Timestamp+gap
	var before, after []model.SamplePair
	for _, x := range more {
		switch {
		case x.Timestamp < first:
			before = append(before, x)
		case x.Timestamp > last:
			after = append(after, x)
		}
	}
	return slices.Concat(before, values, after)
}

func series(m model.Metric, own func(model.LabelName) bool, values []model.SamplePair) metrics.Series {
	s := metrics.Series{Labels: map[string]string{}, Pod: podOf(m), Samples: make([]metrics.Sample, 0, len(values))}
	for name, value := range keep(m, own) {
		s.Labels[string(name)] = string(value)
	}
	for _, v := range values {
		s.Samples = append(s.Samples, metrics.Sample{At: v.Timestamp.Time().UTC(), Value: float64(v.Value)})
	}
	return s
}
