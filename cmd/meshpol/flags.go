package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/policy"
)

// fileFlags say which documents are read.
type fileFlags struct {
	paths     []string
	recursive bool
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&f.paths, "filename", "f", nil, "file, directory or - for standard input; repeatable")
	cmd.Flags().BoolVarP(&f.recursive, "recursive", "R", false, "read directories with all that is below them")
}

// load reads the documents, each error with its place.
func (a *app) load(f fileFlags) (policy.Set, error) {
	if len(f.paths) == 0 {
		return policy.Set{}, usage("which policies? name files, directories or - with -f")
	}
	ns, err := a.namespace()
	if err != nil {
		ns = "default" // reading files needs no cluster
	}
	return policy.Load(policy.LoadOptions{Paths: f.paths, Recursive: f.recursive, Namespace: ns, Stdin: a.in})
}

// rolloutFlags override what a Rollout document or a preset says.
type rolloutFlags struct {
	strategy           string
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
	noAnalysis         bool
	onSignal           string
	onFailure          string
	onInconclusive     string
}

func (f *rolloutFlags) add(cmd *cobra.Command, preset string) {
	fl := cmd.Flags()
	if preset == "" {
		fl.StringVar(&f.strategy, "strategy", "", "canary or direct (default: the Rollout document's, else canary)")
		fl.Float64SliceVar(&f.steps, "steps", nil, "shares of a canary in percent, growing: 1,5,25,50")
		fl.StringVar(&f.by, "by", "", "request or instance (default: instance for circuit breaker pools, else request)")
		fl.DurationVar(&f.stepMin, "step-min", 0, "least time of a step")
		fl.DurationVar(&f.stepMax, "step-max", 0, "longest time to wait for a verdict at a step")
		fl.DurationVar(&f.step0Min, "step0-min", 0, "least time of step 0, in which both halves are identical (default 2m)")
		fl.DurationVar(&f.step0Max, "step0-max", 0, "longest time of step 0 (default 5m)")
	} else {
		f.strategy = preset
	}
	fl.StringVar(&f.name, "name", "", "name of the rollout (default: the Rollout document's, else the policy's)")
	fl.DurationVar(&f.bake, "bake", 0, "time at 95 %, 5 % held back on the old policy (default 5m; direct: 2m before and after)")
	fl.DurationVar(&f.foldWatch, "fold-watch", 0, "time that the folded policy is watched (default 1m)")
	fl.Int32Var(&f.minRequests, "min-requests", 0, "requests under the new policy without which there is no verdict (default 20)")
	fl.DurationVar(&f.tick, "tick", 0, "length of a judged interval (default 15s)")
	fl.DurationVar(&f.propagation, "propagation-timeout", 30*time.Second, "time in which every proxy must hold a write")
	fl.DurationVar(&f.deadline, "deadline", 0, "time after which an ownerless rollout may be taken back (default 2h)")
	fl.BoolVar(&f.noAnalysis, "no-analysis", false, "go on without any metrics: only propagation is proved")
	fl.StringVar(&f.onSignal, "on-signal", "", "what Ctrl-C does: rollback or pause (default: pause on a terminal, else rollback)")
	fl.StringVar(&f.onFailure, "on-failure", "", "what a Fail does: rollback or pause (default rollback)")
	fl.StringVar(&f.onInconclusive, "on-inconclusive", "", "what no verdict does: wait, rollback, pause or promote (default wait: ask on a terminal, else rollback)")
}

func (f *rolloutFlags) check() error {
	for _, c := range []struct {
		flag, value string
		allowed     []string
	}{
		{"strategy", f.strategy, []string{"", "canary", "direct"}},
		{"by", f.by, []string{"", "request", "instance"}},
		{"on-signal", f.onSignal, []string{"", "rollback", "pause"}},
		{"on-failure", f.onFailure, []string{"", "rollback", "pause"}},
		{"on-inconclusive", f.onInconclusive, []string{"", "wait", "rollback", "pause", "promote"}},
	} {
		if err := oneOf(c.flag, c.value, c.allowed); err != nil {
			return err
		}
	}
	return f.checkDurations()
}

func (f *rolloutFlags) checkDurations() error {
	for name, d := range map[string]time.Duration{
		"step-min": f.stepMin, "step-max": f.stepMax, "step0-min": f.step0Min, "step0-max": f.step0Max, "bake": f.bake,
		"fold-watch": f.foldWatch, "tick": f.tick, "propagation-timeout": f.propagation, "deadline": f.deadline,
	} {
		if d < 0 {
			return usage("--%s %s: a time cannot be negative", name, d)
		}
	}
	if f.propagation == 0 {
		return usage("--propagation-timeout 0s: proxies need some time; 30s is the default")
	}
	return nil
}

func oneOf(flag, value string, allowed []string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return usage("--%s %q: use one of %q", flag, value, allowed[1:])
}
