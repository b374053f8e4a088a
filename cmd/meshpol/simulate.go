package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/simulate"
	"github.com/meshpol/meshpol/pkg/strategy"
	"github.com/meshpol/meshpol/pkg/validate"
)

// codeLater is the finding of a strategy that no mesh carries out yet: no hindrance to a simulation.
const codeLater = "MP204"

func newSimulateCmd(a *app) *cobra.Command {
	var files fileFlags
	flags := rolloutFlags{sketch: true}
	var world worldFlags
	cmd := &cobra.Command{
		Use: "simulate -f FILE", GroupID: "files", Args: asUsage(cobra.NoArgs),
		Short: "Try a rollout in virtual time: how soon a harm would be found, and at what cost",
		Long: `Try a rollout in virtual time, against a simulated mesh: the steps, the state machine and the judge are the real ones,
the traffic is drawn. It tells how often and how soon a harm of a given size is found, at which step, and how many
requests are harmed until then; how often a harmless policy is taken back; and how long a good one takes. No cluster
is asked, and nothing is written.

A harm is errors=5x (five times the errors), errors=+2% (so many more), latency=+50%, fail=90%, hang (requests never
end) or silent (they are well, but nothing counts them). Several of them come together. What a harmless policy does is
always shown beside it.

The tripwire is simulated too, by request: the proxies are read every second. By instance it only pauses a rollout, and
is not simulated. What validate says of the files is written to standard error, and stands in the document of -o json.

--compare lets the rules of Flagger, Argo Rollouts and Kayenta decide on the same traffic.

It ends with 0 whatever the simulated rollouts come to.

` + exitHelp(exitOK, exitInternal, exitUsage, exitInvalid, exitAborted),
		Example: `  meshpol simulate -f timeout.yaml                                 # how long does a good policy take?
  meshpol simulate -f timeout.yaml --harm errors=5x --rps 50       # is that harm found, and when?
  meshpol simulate -f timeout.yaml --harm latency=+50% --steps 10,50
  meshpol simulate -f timeout.yaml --harm fail=90% --compare       # the same traffic, the rules of others
  meshpol simulate -f rollout.yaml -f policies/ --strategy rolling -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.untilSignal(cmd.Context())
			defer cancel()
			return a.simulate(ctx, files, flags, world)
		},
	}
	files.add(cmd)
	flags.add(cmd, "")
	flags.addTripwire(cmd)
	world.add(cmd)
	return cmd
}

// worldFlags describe the simulated service, and what the policy does to it.
type worldFlags struct {
	harms                              []string
	errors, chosen                     string
	clumps, rps, sick, bursts, outages float64
	pods, runs                         int
	seed                               uint64
	latency, reaction                  time.Duration
	compare                            bool
}

func (w *worldFlags) add(cmd *cobra.Command) {
	d, fl := simulate.DefaultTraffic(), cmd.Flags()
	fl.StringSliceVar(&w.harms, "harm", nil, "what the policy does: errors=5x, errors=+2%, latency=+50%, fail=90%, hang or silent; repeatable")
	fl.StringVar(&w.errors, "base-errors", "0.1%", "share of the requests that fail anyhow")
	fl.Float64Var(&w.clumps, "clumps", d.Clumps, "mean number of errors that come together; 1: each by itself")
	fl.DurationVar(&w.latency, "base-latency", d.Latency, "median latency; 1 % of the requests take 6.4 times as long")
	fl.Float64Var(&w.rps, "rps", d.RPS, "requests per second, of all pods")
	fl.IntVar(&w.pods, "pods", d.Pods, "client pods that send them")
	fl.StringVar(&w.chosen, "chosen", "10%", "share of the requests that the header, cookie or source of the strategy picks")
	fl.Float64Var(&w.sick, "sick", 0, "times an hour that a pod is sick: half of its requests fail for 30 s")
	fl.Float64Var(&w.bursts, "bursts", 0, "times an hour that 100 requests of one pod fail at once")
	fl.Float64Var(&w.outages, "outages", 0, "times an hour that old and new fail 20 times as often, at least 5 %, for 2 min")
	fl.DurationVar(&w.reaction, "reaction", d.Reaction, "time from a decision's last request until the policy is out: scrape, poll and way back")
	fl.IntVar(&w.runs, "runs", 1000, "simulated rollouts")
	fl.Uint64Var(&w.seed, "seed", 1, "seed; the same seed gives the same answer")
	fl.BoolVar(&w.compare, "compare", false, "let the rules of Flagger, Argo Rollouts and Kayenta decide on the same traffic")
	completeValues(cmd, "harm", "errors=5x", "errors=+2%", "latency=+50%", "fail=90%", "hang", "silent")
}

// options are the flags as a simulation of one target takes them.
func (w *worldFlags) options() (simulate.Options, error) {
	o := simulate.Options{Traffic: simulate.DefaultTraffic(), Runs: w.runs, Seed: w.seed, Compare: w.compare}
	t := &o.Traffic
	t.RPS, t.Pods, t.Clumps, t.Latency, t.Reaction = w.rps, w.pods, w.clumps, w.latency, w.reaction
	t.Sick, t.Bursts, t.Outages = w.sick, w.bursts, w.outages
	var err error
	if o.Harm, err = simulate.ParseHarms(w.harms); err != nil {
		return o, usage("--harm: %w", err)
	}
	for _, share := range []struct {
		flag, text string
		to         *float64
	}{{"base-errors", w.errors, &t.Errors}, {"chosen", w.chosen, &t.Chosen}} {
		if *share.to, err = simulate.Percent(share.text); err != nil {
			return o, usage("--%s: %w", share.flag, err)
		}
	}
	if err := o.CheckWorld(); err != nil {
		return o, usage("%w", err)
	}
	return o, nil
}

// simulate runs the simulations of all targets and prints them.
func (a *app) simulate(ctx context.Context, files fileFlags, flags rolloutFlags, world worldFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	options, err := world.options()
	if err != nil {
		return err
	}
	p, found, err := a.sketched(files, flags, options.Traffic)
	if err != nil {
		return err
	}
	var views []printer.SimulationView
	for _, c := range p.set.Changes() {
		view, err := p.simulated(ctx, c, options)
		if err != nil {
			return err
		}
		views = append(views, view)
	}
	return a.answers().Simulations(found, views)
}

// sketched reads and validates the files, without any cluster. What validation finds is said as the other commands say it;
// an error among it ends the command.
func (a *app) sketched(files fileFlags, flags rolloutFlags, t simulate.Traffic) (*planner, []printer.FindingView, error) {
	set, err := a.load(files)
	var invalid policy.Errors
	if errors.As(err, &invalid) {
		return nil, nil, a.refuse(0, loadFindings(invalid))
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := newPlanner(set, flags, nil)
	if err != nil {
		return nil, nil, err
	}
	p.traffic, p.pods = t.RPS, t.Pods
	all := append(validate.Check(p.set, nil, nil), p.fewClients()...)
	found := findingViews(slices.DeleteFunc(all, func(f validate.Finding) bool { return f.Code == codeLater }))
	if len(found) == 0 {
		return p, nil, nil
	}
	return p, found, a.refuse(len(p.set.Policies), found)
}

// simulated simulates one target.
func (p *planner) simulated(ctx context.Context, c policy.Change, o simulate.Options) (printer.SimulationView, error) {
	var view printer.SimulationView
	steps, err := strategy.Sketch(p.input(c))
	if err != nil {
		return view, &codeError{code: exitInvalid, err: err}
	}
	for _, s := range steps {
		view.Notes = append(view.Notes, s.Notes...)
	}
	o.Plan = simulate.NewPlan(rollout.PlanInput{Name: p.name(c), Strategy: p.strategyName(), Change: c, Steps: strategy.Taken(steps), Settings: p.settings(c.Target)})
	if slo := p.doc.Spec.Analysis.SLO; slo != nil && slo.Latency != nil {
		o.Traffic.Slow = slo.Latency.Max.Duration
	}
	before := simulate.History(o.Traffic, o.Seed)
	config := judgeConfig(p.doc.Spec.Analysis, o.Plan, 0, before)
	if o.Judge, err = metrics.NewJudge(config); err != nil {
		return view, &codeError{code: exitInvalid, err: err}
	}
	if s := o.Plan.Settings; !s.NoAnalysis && s.Tripwire != rollout.TripwireOff {
		wire := tripwireConfig(p.doc.Spec.Analysis, o.Plan)
		o.Tripwire = &wire
	}
	if f, known := metrics.ForecastOf(before, plannedLengths(o.Plan, o.Traffic.Pods), config); known && !o.Plan.Settings.NoAnalysis {
		forecast := printer.ForecastView{Forecast: f, Limit: config.PassMarginMax, Accepted: o.Plan.Settings.OnInconclusive == "promote"}
		view.Notes = append(view.Notes, forecast.Advice()...)
	}
	view.Report, err = simulate.Run(ctx, o)
	return view, err
}
