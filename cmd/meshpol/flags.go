package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// fileFlags say which documents are read.
type fileFlags struct {
	paths     []string
	recursive bool
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&f.paths, "filename", "f", nil, "file, directory or - for standard input; repeatable")
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "R", false, "read directories with all that is below them")
	if err := cmd.MarkFlagFilename("filename", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag stands two lines above
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// load reads the documents, each error with its place.
func (a *app) load(f fileFlags) (policy.Set, error) {
	if len(f.paths) == 0 {
		return policy.Set{}, usage("which policies? name files, directories or - with -f")
	}
	ns := *a.kube.Namespace
	if ns == "" {
		ns, _ = a.namespace() // reading files needs no cluster: policy.Load falls back on default
	}
	return a.loadUntilSignal(policy.LoadOptions{Paths: f.paths, Recursive: f.recursive, Namespace: ns, Stdin: a.in})
}

// loadUntilSignal gives up at the first signal: a pipe that nobody writes to, standard input among them, keeps whoever
// reads it for ever.
func (a *app) loadUntilSignal(opts policy.LoadOptions) (policy.Set, error) {
	type result struct {
		set policy.Set
		err error
	}
	done := make(chan result, 1)
	go func() {
		set, err := policy.Load(opts)
		done <- result{set, err}
	}()
	select {
	case r := <-done:
		return r.set, r.err
	case <-a.interrupt:
		return policy.Set{}, &codeError{code: exitAborted, err: fmt.Errorf("reading %s: interrupted by a signal; nothing was written", strings.Join(opts.Paths, ", "))}
	}
}

// badValue is a value that a flag does not take, in words instead of a library's: what was written, and what is wanted.
func badValue(f *pflag.Flag, value string, err error) error {
	var wanted string
	switch kind := f.Value.Type(); {
	case kind == "duration":
		wanted = "write a time with its unit, such as 30s or 5m"
	case kind == "float64Slice":
		wanted = "write numbers without a percent sign, such as 10 or 1,10,50"
	case strings.HasPrefix(kind, "float"):
		wanted = "write a number, such as 10 or 0.5"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		wanted = "write a whole number, such as 20"
	case kind == "bool":
		wanted = "write true or false, or the flag alone"
	default:
		return fmt.Errorf("--%s %q: %w", f.Name, value, err)
	}
	if errors.Is(err, strconv.ErrRange) {
		wanted = "that is more than it can hold; " + wanted
	}
	return fmt.Errorf("--%s %q: %s", f.Name, value, wanted)
}

// rolloutFlags override what a Rollout document or a preset says.
type rolloutFlags struct {
	strategy string
	// sketch tells that nothing is written, so that strategies count which no mesh carries out yet.
	sketch             bool
	name               string
	steps              []float64
	by                 string
	stepMin, stepMax   time.Duration
	step0Min, step0Max time.Duration
	bake, foldWatch    time.Duration
	minRequests        int32
	tick               time.Duration
	propagation        time.Duration
	deadline           time.Duration
	history            time.Duration
	noAnalysis         bool
	noTripwire         bool
	onSignal           string
	onFailure          string
	onInconclusive     string
	dryRun             string
}

// add declares the flags; with a preset the strategy is settled, and so are the flags of a canary.
func (f *rolloutFlags) add(cmd *cobra.Command, preset string) {
	fl := cmd.Flags()
	f.strategy = preset
	if preset == "" {
		f.addCanary(cmd)
	}
	fl.StringVar(&f.name, "name", "", "name of the rollout (default: the Rollout document's, else the policy's)")
	fl.DurationVar(&f.bake, "bake", 0, bakeUsage(preset))
	fl.Int32Var(&f.minRequests, "min-requests", 0, "requests under the new policy without which there is no verdict (default 20)")
	fl.DurationVar(&f.tick, "tick", 0, "length of a judged interval (default 15s)")
	fl.DurationVar(&f.propagation, "propagation-timeout", 30*time.Second, "time in which every proxy must hold a write")
	fl.DurationVar(&f.deadline, "deadline", 0, "time from the start after which a rollout that is not at its end is taken back (default 2h)")
	if !f.sketch {
		fl.DurationVar(&f.history, "history", metrics.HistoryLength, "how much of the time before is read from Prometheus; 0 does without")
	}
	fl.BoolVar(&f.noAnalysis, "no-analysis", false, "go on without any metrics: only propagation is proved")
	fl.StringVar(&f.onFailure, "on-failure", "", "what a Fail does: rollback or pause (default rollback)")
	fl.StringVar(&f.onInconclusive, "on-inconclusive", "", "what no verdict does: wait, rollback, pause or promote (default wait: ask on a terminal, else rollback)")
	f.addOnSignal(cmd)
	f.completeChoices(cmd)
}

func bakeUsage(preset string) string {
	if preset == "direct" {
		return "time in which it is watched afterwards (default 2m)"
	}
	return "time at 95 %, 5 % held back on the old policy (default 5m); of a direct rollout, the time it is watched (2m)"
}

func (f *rolloutFlags) addCanary(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.strategy, "strategy", "", strings.Join(f.strategies(), " or ")+" (default: the Rollout document's, else canary)")
	fl.Float64SliceVar(&f.steps, "steps", nil, "growing shares of a canary, in `percent` (default 1,5,25,50; by instance one pod, 25, 50)")
	fl.Lookup("steps").DefValue = "" // help would show it as []
	fl.StringVar(&f.by, "by", "", "request or instance (default: instance for circuit breaker pools, else request)")
	fl.DurationVar(&f.stepMin, "step-min", 0, "least time of a step (default 1m; 2m from 25 % on)")
	fl.DurationVar(&f.stepMax, "step-max", 0, "longest time to wait for a verdict at a step (default 10m; 20m at the last)")
	fl.DurationVar(&f.step0Min, "step0-min", 0, "least time of step 0, in which both halves are identical (default 2m)")
	fl.DurationVar(&f.step0Max, "step0-max", 0, "longest time of step 0 (default 5m)")
	fl.DurationVar(&f.foldWatch, "fold-watch", 0, "time that the folded policy is watched (default 1m)")
}

func (f *rolloutFlags) addOnSignal(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.onSignal, "on-signal", "", "what Ctrl-C does: rollback or pause (default: pause on a terminal, else rollback)")
}

// addDryRun is for commands that write.
func (f *rolloutFlags) addDryRun(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dryRun, "dry-run", "", "server: have the API server check every write and the way back, and write nothing")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = dryRunServer
	completeValues(cmd, "dry-run", dryRunServer, "none")
}

// dryRunServer is the dry run that there is: what the API server would say. What would be written, plan shows.
const dryRunServer = "server"

// choice is a flag with the words that it takes.
type choice struct {
	flag, value string
	allowed     []string
}

func (f *rolloutFlags) choices() []choice {
	return []choice{
		{"strategy", f.strategy, f.strategies()},
		{"by", f.by, []string{"request", "instance"}},
		{"on-signal", f.onSignal, []string{"rollback", "pause"}},
		{"on-failure", f.onFailure, []string{"rollback", "pause"}},
		{"on-inconclusive", f.onInconclusive, []string{"wait", "rollback", "pause", "promote"}},
		{"dry-run", f.dryRun, []string{"none", dryRunServer}},
	}
}

// strategies are the names of those that the command can carry out.
func (f *rolloutFlags) strategies() []string {
	var out []string
	for _, s := range strategy.All() {
		if s.Available || f.sketch {
			out = append(out, s.Name)
		}
	}
	return out
}

// completeChoices lets a shell complete the words that the flags of a command take.
func (f *rolloutFlags) completeChoices(cmd *cobra.Command) {
	for _, c := range f.choices() {
		if cmd.Flags().Lookup(c.flag) != nil {
			completeValues(cmd, c.flag, c.allowed...)
		}
	}
}

// check judges the flags alone.
func (f *rolloutFlags) check() error {
	for _, c := range f.choices() {
		if c.value != "" && !slices.Contains(c.allowed, c.value) {
			return usage("--%s %q: use %s", c.flag, c.value, strings.Join(c.allowed, ", "))
		}
	}
	if f.strategy == "direct" && (len(f.steps) > 0 || f.by != "") {
		return usage("--steps and --by are of a canary: everything at once has no steps; leave them out, or leave --strategy direct out")
	}
	if f.strategy != "" && f.strategy != "canary" && (len(f.steps) > 0 || f.by != "") {
		return usage("--steps and --by are of a canary; leave them out, or leave --strategy %s out", f.strategy)
	}
	if err := f.checkSteps(); err != nil {
		return err
	}
	if f.minRequests < 0 {
		return usage("--min-requests %d: a number of requests cannot be negative", f.minRequests)
	}
	return f.checkDurations()
}

// maxSteps is what a Rollout document may have.
const maxSteps = 32

func (f *rolloutFlags) checkSteps() error {
	if len(f.steps) > maxSteps {
		return usage("--steps: %d steps; at most %d", len(f.steps), maxSteps)
	}
	last := 0.0
	for _, s := range f.steps {
		switch {
		case !(s >= 0.1 && s <= 100): // written so that NaN is refused
			return usage("--steps %g: a share is 0.1 to 100 percent", s)
		case s <= last:
			return usage("--steps: %g after %g; the shares of a canary grow, as in 1,10,50", s, last)
		}
		last = s
	}
	return nil
}

// mostHistory is what Prometheus answers at once in ticks of a minute: it refuses above 11,000.
const mostHistory = 168 * time.Hour

func (f *rolloutFlags) checkDurations() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"step-min", f.stepMin}, {"step-max", f.stepMax}, {"step0-min", f.step0Min}, {"step0-max", f.step0Max}, {"bake", f.bake},
		{"fold-watch", f.foldWatch}, {"tick", f.tick}, {"propagation-timeout", f.propagation}, {"deadline", f.deadline},
		{"history", f.history},
	} {
		if d.flag == "history" && d.value > mostHistory {
			return usage("--history %s: at most %s", d.value, mostHistory)
		}
		if d.value < 0 {
			return usage("--%s %s: a time cannot be negative", d.flag, d.value)
		}
	}
	switch {
	case f.propagation == 0:
		return usage("--propagation-timeout 0s: proxies need some time; 30s is the default")
	case f.stepMax > 0 && f.stepMin > f.stepMax:
		return usage("--step-min %s is longer than --step-max %s", f.stepMin, f.stepMax)
	case f.step0Max > 0 && f.step0Min > f.step0Max:
		return usage("--step0-min %s is longer than --step0-max %s", f.step0Min, f.step0Max)
	}
	return nil
}
