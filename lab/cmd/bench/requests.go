package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// requests rolls the same policies out with few and with many client pods and counts requests to the API server.
func (b *bench) requests(ctx context.Context, _ *trial.Load) error {
	defer func() { _ = b.lab.Scale(context.WithoutCancel(ctx), "web", 2) }()
	lean := map[string][]float64{}
	for _, pods := range []int{2, 6} {
		if err := b.lab.Scale(ctx, "web", pods); err != nil {
			return err
		}
		load, err := b.lab.StartLoad(ctx, 100, 10*time.Minute)
		if err != nil {
			return err
		}
		err = b.requestRows(ctx, pods, lean)
		load.Stop(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
	}
	for _, way := range slices.Sorted(maps.Keys(lean)) {
		more := lean[way][1] - lean[way][0]
		met := more <= 0
		b.report.Rows = append(b.report.Rows, Row{Group: requestGroup, Name: "more with 6 pods than with 2, " + way, Unit: "requests", Figures: once(2, more), Target: "0", Met: &met,
			Note: "but for one label patch per pod of the cohort, one port-forward per proxy that is read (at most 48 stay open), and the tripwire's readings"})
	}
	return nil
}

const requestGroup = "requests to the API server"

func (b *bench) requestRows(ctx context.Context, pods int, lean map[string][]float64) error {
	timeout, err := b.timeout(longTimeout)
	if err != nil {
		return err
	}
	breaker, err := b.breaker(300)
	if err != nil {
		return err
	}
	for _, way := range []struct {
		name string
		args []string
	}{
		{"by request", brief("rollout", "-f", timeout, "--steps", "10,25,50", "--no-analysis")},
		{"by instance", append(brief("rollout", "-f", breaker, "--by", "instance", "--steps", "25,50", "--on-inconclusive", "promote"), "--step-max", "3s")},
	} {
		if err := b.lab.Clear(ctx); err != nil {
			return err
		}
		r, err := b.meshpol(ctx, 0, way.args...)
		if err != nil {
			return err
		}
		lean[way.name] = append(lean[way.name], b.requestRow(fmt.Sprintf("%s, %d web pods", way.name, pods), r))
	}
	return nil
}

// requestRow adds what one rollout sent; it returns the part of it that must not grow with the pods.
func (b *bench) requestRow(name string, r *trial.Run) (lean float64) {
	var counts []float64
	var each []string
	for _, e := range r.Named("stepPassed") {
		n, _ := e.Fields["requests"].(float64)
		counts = append(counts, n)
		each = append(each, fmt.Sprintf("%s: %.0f", e.Text("step"), n))
	}
	b.report.sample(requestGroup, "a step "+name, "requests", counts, 0, strings.Join(each, ", "))
	for _, e := range r.Named("ended") {
		all, _ := e.Fields["requestsByResource"].(map[string]any)
		sum := 0.0
		var texts []string
		for _, k := range slices.Sorted(maps.Keys(all)) {
			n, _ := all[k].(float64)
			sum += n
			if k != "patch pods" && k != "get pods/portforward" && k != "get pods/proxy" {
				lean += n
			}
			texts = append(texts, fmt.Sprintf("%.0f %s", n, k))
		}
		b.report.Rows = append(b.report.Rows, Row{Group: requestGroup, Name: "a rollout " + name, Unit: "requests", Figures: once(1, sum)})
		b.report.remark("requests of a rollout %s: %s", name, strings.Join(texts, ", "))
	}
	return lean
}
