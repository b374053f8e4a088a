package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/metrics/prometheus"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// podsFor is how long a list of the pods with a proxy is good for reading them directly.
const podsFor = 30 * time.Second

// proxyPods lists the pods whose proxies can be read; all readers share it.
type proxyPods struct {
	list func(ctx context.Context, namespace string) ([]policy.Pod, error)

	mu    sync.Mutex
	known []string
	at    time.Time
}

func (l *proxyPods) ready(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < podsFor {
		return l.known, nil
	}
	all, err := l.list(ctx, "")
	if err != nil {
		return nil, err
	}
	l.known, l.at = nil, time.Now()
	for _, p := range all {
		if p.Proxy && p.Ready && !p.Terminating {
			l.known = append(l.known, p.ID())
		}
	}
	return l.known, nil
}

// readProxies reads a sample of the sidecars directly. The list of them is one for the whole session.
func (s *session) readProxies(sample prometheus.Sample) *prometheus.Proxies {
	if s.readable == nil {
		s.readable = &proxyPods{list: s.cluster.Pods}
	}
	return prometheus.NewProxies(s.readable.ready, s.cluster.ProxyStats, sample)
}

// addTripwire is for commands whose steps the tripwire may watch.
func (f *rolloutFlags) addTripwire(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.noTripwire, "no-tripwire", false, "do not read the proxies every second for breakage: leave it to the judge")
}

// tripwireWord is what a Rollout and its flags say of the tripwire; empty is the default.
func tripwireWord(a v1alpha1.Analysis, off bool) string {
	switch {
	case off, a.Tripwire != nil && a.Tripwire.Action == rollout.TripwireOff:
		return rollout.TripwireOff
	case a.Tripwire != nil && a.Tripwire.Action == rollout.TripwirePause:
		return rollout.TripwirePause
	}
	return ""
}

// tripwireConfig maps the Rollout's analysis and the plan's size onto the tripwire's settings.
func tripwireConfig(a v1alpha1.Analysis, p *rollout.Plan) metrics.TripwireConfig {
	c := metrics.DefaultTripwireConfig(0)
	if a.FalseRollback != nil {
		c.Alpha = *a.FalseRollback * 0.1 // the rest is the judge's
	}
	c.AllowRefused = judgeConfig(a, p, 0, metrics.History{}).AllowRefused
	steps, length := 0, time.Duration(0)
	for _, s := range watchedSteps(c, p) {
		steps, length = steps+1, length+max(s.Min, s.Max)
	}
	c.Steps, c.PlannedSeconds = max(steps, 1), max(length.Seconds(), 1)
	return c
}

func watchedSteps(c metrics.TripwireConfig, p *rollout.Plan) []rollout.PlannedStep {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s rollout.PlannedStep) bool { return !c.Watches(s.Kind, s.Exposure.Share) })
}

// armTripwire gives an executor the reader of the proxies, where a step can be watched and they may be read. Without the
// right to it a rollout runs all the same, and a note of the plan says what that costs.
func (r *runner) armTripwire(ctx context.Context, x *rollout.Executor, a v1alpha1.Analysis, p *rollout.Plan) error {
	c := tripwireConfig(a, p)
	if p.Back || p.Settings.NoAnalysis || p.Settings.Tripwire == rollout.TripwireOff || len(watchedSteps(c, p)) == 0 {
		return nil
	}
	may, err := r.session.mayReadProxies(ctx)
	switch {
	case err != nil:
		return err
	case !may:
		p.Notes = append(slices.Clone(p.Notes), "proxies cannot be read directly (no right to pods/proxy): breakage is found by the judge alone, in "+
			v1alpha1.Duration{Duration: p.Settings.Tick + r.scrape}.Text())
		return nil
	}
	x.Proxies, x.Tripwire = r.session.readProxies(prometheus.TripwireSample()), c
	return nil
}

// mayReadProxies asks for the right to read proxies everywhere, then for that of every namespace with one in it. A
// cluster that does not answer such questions is tried.
func (s *session) mayReadProxies(ctx context.Context) (bool, error) {
	var missing *kube.MissingError
	err := s.cluster.Need(ctx, kube.StatsAccess([]string{""}))
	if errors.As(err, &missing) {
		err = s.cluster.Need(ctx, kube.StatsAccess(s.proxyNamespaces()))
	}
	if errors.As(err, &missing) {
		return false, nil
	}
	return err == nil, err
}
