package simulate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/meshpol/meshpol/internal/traffic"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// Options say what is simulated.
type Options struct {
	// Plan is the rollout, from NewPlan; Judge judges it, as a value that all runs share.
	Plan  *rollout.Plan
	Judge metrics.Judge
	// Judges take the runs in turn where there are any, such as those that know different histories of one service.
	Judges []metrics.Judge
	// Tripwire is read every second beside the judge, by request; nil does without.
	Tripwire *metrics.TripwireConfig
	// Traffic is the service under the old policy, Harm what the new one does to it.
	Traffic Traffic
	Harm    Harm
	// Runs is the number of rollouts with a harmless policy, and of as many with a harmful one.
	Runs int
	Seed uint64
	// Compare lets the rules of others decide on the same traffic.
	Compare bool
}

// mostRuns is what nobody needs more of.
const mostRuns = 1_000_000

// CheckWorld names the first number that makes no sense, of all but the plan.
func (o Options) CheckWorld() error {
	if o.Runs < 1 || o.Runs > mostRuns {
		return fmt.Errorf("%d runs: use 1 to %d", o.Runs, mostRuns)
	}
	return o.Traffic.Check()
}

// Run simulates. It gives the same report for the same options, whatever the number of processors; a context that ends
// ends it with the context's error.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Plan == nil || len(o.Plan.Steps) == 0 {
		return Report{}, errors.New("simulating a rollout: its plan has no steps")
	}
	if err := o.CheckWorld(); err != nil {
		return Report{}, fmt.Errorf("simulating rollout %s: %w", o.Plan.Name, err)
	}
	r := Report{Name: o.Plan.Name, Target: o.Plan.Change.Target.String(), Strategy: o.Plan.Strategy, Traffic: o.Traffic, Runs: o.Runs, Seed: o.Seed}
	for _, s := range o.Plan.Steps {
		r.Steps = append(r.Steps, Step{Name: s.Name, Exposure: s.Exposure.String()})
		r.Asks = r.Asks || (s.Pause && s.PauseFor == 0)
		if o.watches(s) {
			r.Tripwire = append(r.Tripwire, s.Name)
		}
	}
	for _, rule := range o.rules() {
		sum, err := rule.sum(ctx, o)
		if err != nil {
			return Report{}, err
		}
		r.Rules = append(r.Rules, sum)
	}
	return r, nil
}

// watches tells whether the tripwire is at work at a step.
func (o Options) watches(s rollout.PlannedStep) bool {
	return o.Tripwire != nil && s.Exposure.By == policy.ByRequest && o.Tripwire.Watches(s.Kind, s.Exposure.Share)
}

// rule is a way of deciding: it runs one rollout in a world.
type rule struct {
	name, about string
	steps       []string
	run         func(*world) outcome
}

func (o Options) rules() []rule {
	own := rule{name: "meshpol", about: o.Plan.Strategy, run: func(w *world) outcome { return judged(w, o.Plan, o.judge(w.index), o.Tripwire) }}
	for _, s := range o.Plan.Steps {
		own.steps = append(own.steps, s.Name)
	}
	if !o.Compare {
		return []rule{own}
	}
	return append([]rule{own}, peers()...)
}

// judge is the one of a run.
func (o Options) judge(index int) metrics.Judge {
	if n := len(o.Judges); n > 0 {
		return o.Judges[index%n]
	}
	return o.Judge
}

// sum runs a rule over all worlds, harmless and harmful.
func (r rule) sum(ctx context.Context, o Options) (Rule, error) {
	out := Rule{Name: r.name, About: r.about}
	good, err := r.runs(ctx, o, Harm{})
	if err != nil {
		return out, err
	}
	out.Good = tally(Harm{}, good, r.steps)
	if o.Harm.None() {
		return out, nil
	}
	bad, err := r.runs(ctx, o, o.Harm)
	if err != nil {
		return out, err
	}
	sum := tally(o.Harm, bad, r.steps)
	out.Bad = &sum
	return out, nil
}

// runs deals the worlds to the processors. Each world has its own seed, so that nothing depends on who runs it.
func (r rule) runs(ctx context.Context, o Options, h Harm) ([]outcome, error) {
	out := make([]outcome, o.Runs)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(o.Runs, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(o.Runs) && ctx.Err() == nil; i = next.Add(1) - 1 {
				w := newWorld(o.Traffic, h, traffic.Stir(o.Seed)+uint64(i))
				w.index = int(i)
				out[i] = r.run(w)
			}
		})
	}
	group.Wait()
	return out, ctx.Err()
}

// times is a multiple: 2×.
func times(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) + "×" }
