package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
	"github.com/meshpol/meshpol/pkg/rollout"
	"github.com/meshpol/meshpol/pkg/strategy"
	"github.com/meshpol/meshpol/pkg/validate"
)

const (
	aTimeout  = "apiVersion: meshpol.io/v1alpha1\nkind: Timeout\nmetadata: {name: a, namespace: shop}\nspec: {target: {service: cart}, request: 2s}\n"
	webPolicy = "apiVersion: meshpol.io/v1alpha1\nkind: Timeout\nmetadata: {name: b, namespace: shop}\nspec: {target: {service: web}, request: 2s}\n"
	aRollout  = "apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: doc, namespace: shop}\nspec:\n  strategy: {canary: {by: instance, steps: [{setWeight: 10}]}}\n" +
		"  bake: 7m\n  onFailure: pause\n  deadline: 3h\n  analysis: {slo: {successRate: 99}, tick: 20s, onInconclusive: promote}\n"
)

// parsed are the flags of a command line.
func parsed(t *testing.T, preset string, args ...string) (rolloutFlags, error) {
	t.Helper()
	var f rolloutFlags
	cmd := &cobra.Command{Use: "x"}
	f.add(cmd, preset)
	f.addDryRun(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f, f.check()
}

func setOf(t *testing.T, docs ...string) policy.Set {
	t.Helper()
	set, err := policy.Load(policy.LoadOptions{Paths: []string{policy.Stdin}, Stdin: strings.NewReader(strings.Join(docs, "---\n"))})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestFlagsBecomeSettings: the flag wins, then the Rollout, then the default.
func TestFlagsBecomeSettings(t *testing.T) {
	for name, c := range map[string]struct {
		preset    string
		args      []string
		docs      []string
		rollout   string
		strategy  string
		settings  rollout.Settings
		overrides strategy.Overrides
	}{
		"nothing said": {"", nil, []string{aTimeout}, "a", "canary",
			rollout.Settings{OnFailure: "rollback", OnInconclusive: "wait", OnNoData: "wait", PropagationTimeout: 30 * time.Second, Tick: 15 * time.Second, Deadline: 2 * time.Hour}, strategy.Overrides{}},
		"the document": {"", nil, []string{aTimeout, aRollout}, "doc", "canary",
			rollout.Settings{OnFailure: "pause", OnInconclusive: "promote", OnNoData: "wait", PropagationTimeout: 30 * time.Second, Tick: 20 * time.Second, Deadline: 3 * time.Hour}, strategy.Overrides{}},
		"flags over the document": {"", []string{"--name", "flag", "--on-failure", "rollback", "--on-inconclusive", "wait", "--tick", "5s", "--deadline", "1h", "--propagation-timeout", "1m", "--no-analysis"}, []string{aTimeout, aRollout}, "flag", "canary",
			rollout.Settings{OnFailure: "rollback", OnInconclusive: "wait", OnNoData: "wait", PropagationTimeout: time.Minute, Tick: 5 * time.Second, Deadline: time.Hour, NoAnalysis: true}, strategy.Overrides{}},
		"a canary's flags": {"", []string{"--steps", "1,10", "--by", "request", "--step-min", "1m", "--step-max", "2m", "--step0-min", "3s", "--step0-max", "4s", "--bake", "5m", "--fold-watch", "6s", "--min-requests", "7"}, []string{aTimeout}, "a", "canary",
			rollout.Settings{OnFailure: "rollback", OnInconclusive: "wait", OnNoData: "wait", PropagationTimeout: 30 * time.Second, Tick: 15 * time.Second, Deadline: 2 * time.Hour},
			strategy.Overrides{StepWeights: []float64{1, 10}, By: "request", StepMin: time.Minute, StepMax: 2 * time.Minute, Step0Min: 3 * time.Second, Step0Max: 4 * time.Second, Bake: 5 * time.Minute, Fold: 6 * time.Second, MinRequests: 7}},
		"apply with a document keeps what it says": {"direct", nil, []string{aTimeout, aRollout}, "doc", "direct",
			rollout.Settings{OnFailure: "pause", OnInconclusive: "promote", OnNoData: "wait", PropagationTimeout: 30 * time.Second, Tick: 20 * time.Second, Deadline: 3 * time.Hour}, strategy.Overrides{}},
		"another strategy": {"", []string{"--strategy", "direct"}, []string{aTimeout}, "a", "direct",
			rollout.Settings{OnFailure: "rollback", OnInconclusive: "wait", OnNoData: "wait", PropagationTimeout: 30 * time.Second, Tick: 15 * time.Second, Deadline: 2 * time.Hour}, strategy.Overrides{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := parsed(t, c.preset, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			p, err := newPlanner(setOf(t, c.docs...), f, nil)
			if err != nil {
				t.Fatal(err)
			}
			change := p.set.Changes()[0]
			if p.name(change) != c.rollout || p.strategyName() != c.strategy {
				t.Errorf("rollout %s, strategy %s, want %s, %s", p.name(change), p.strategyName(), c.rollout, c.strategy)
			}
			c.settings.History = metrics.HistoryLength
			if got := p.settings(policy.Target{Namespace: "shop", Name: "cart"}); !reflect.DeepEqual(got, c.settings) {
				t.Errorf("settings %+v, want %+v", got, c.settings)
			}
			if got := p.overrides(); !reflect.DeepEqual(got, c.overrides) {
				t.Errorf("overrides %+v, want %+v", got, c.overrides)
			}
		})
	}
}

// TestStrategyOfAFlagKeepsTheDocument: an SLO, a selection or a bake is not lost because a flag names the strategy.
func TestStrategyOfAFlagKeepsTheDocument(t *testing.T) {
	for flag, steps := range map[string]int{"canary": 1, "direct": 0} {
		f, err := parsed(t, "", "--strategy", flag)
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPlanner(setOf(t, aTimeout, aRollout), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if c := p.doc.Spec.Strategy.Canary; c != nil {
			got = len(c.Steps)
		}
		if p.doc.Spec.Analysis.SLO == nil || p.doc.Spec.Bake.Duration != 7*time.Minute || got != steps {
			t.Errorf("--strategy %s: %+v", flag, p.doc.Spec)
		}
	}
}

func TestPlannerRefuses(t *testing.T) {
	selects := strings.Replace(aRollout, "spec:\n", "spec:\n  policies: [{kind: Timeout, name: other}]\n", 1)
	for name, c := range map[string]struct {
		docs []string
		code int
		want string
	}{
		"no policy":               {[]string{aRollout}, exitInvalid, "the files hold no policy: there is nothing to roll out"},
		"two Rollouts":            {[]string{aTimeout, aRollout, strings.Replace(aRollout, "doc", "dog", 1)}, exitUsage, "the files hold 2 Rollouts (doc, dog); one run follows one"},
		"a policy that is not it": {[]string{aTimeout, selects}, exitInvalid, "the Rollout names Timeout other, which is in none of the files"},
	} {
		if _, err := newPlanner(setOf(t, c.docs...), rolloutFlags{}, nil); exitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (exit %d), want %q (%d)", name, err, exitCode(err), c.want, c.code)
		}
	}
}

func TestPlannerSelects(t *testing.T) {
	selects := strings.Replace(aRollout, "spec:\n", "spec:\n  policies: [{kind: Timeout, name: b}]\n", 1)
	p, err := newPlanner(setOf(t, aTimeout, webPolicy, selects), rolloutFlags{}, nil)
	if err != nil || len(p.targets()) != 1 || p.targets()[0].Name != "web" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, c := range []struct {
		preset string
		args   []string
		want   string
	}{
		{"", []string{"--strategy", "sideways"}, `--strategy "sideways": use canary, direct`},
		{"", []string{"--by", "coin"}, `--by "coin": use request, instance`},
		{"", []string{"--on-signal", "x"}, `--on-signal "x": use rollback, pause`},
		{"", []string{"--on-failure", "x"}, `--on-failure "x": use rollback, pause`},
		{"", []string{"--on-inconclusive", "x"}, `--on-inconclusive "x": use wait, rollback, pause, promote`},
		{"", []string{"--dry-run=client"}, `--dry-run "client": use none, server`},
		{"", []string{"--bake", "-1s"}, "--bake -1s: a time cannot be negative"},
		{"direct", []string{"--deadline", "-1h"}, "--deadline -1h0m0s: a time cannot be negative"},
		{"", []string{"--propagation-timeout", "0"}, "30s is the default"},
		{"", []string{"--steps", "10,5"}, "5 after 10; the shares of a canary grow"},
		{"", []string{"--steps", "10,NaN"}, "--steps NaN: a share is 0.1 to 100 percent"},
		{"", []string{"--steps", "0,5"}, "--steps 0: a share"},
		{"", []string{"--steps", "101"}, "--steps 101: a share"},
		{"", []string{"--min-requests", "-1"}, "cannot be negative"},
		{"", []string{"--step-min", "2m", "--step-max", "1m"}, "--step-min 2m0s is longer than --step-max 1m0s"},
		{"", []string{"--step0-min", "2m", "--step0-max", "1m"}, "--step0-min 2m0s is longer than --step0-max 1m0s"},
		{"", []string{"--strategy", "direct", "--steps", "5"}, "everything at once has no steps"},
	} {
		if _, err := parsed(t, c.preset, c.args...); exitCode(err) != exitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
	if f, err := parsed(t, "direct", "--dry-run"); err != nil || f.dryRun != dryRunServer {
		t.Errorf("--dry-run alone: %q, %v", f.dryRun, err)
	}
}

func TestJudgeConfigFollowsTheAnalysis(t *testing.T) {
	rate, refused, alpha, margin, most := v1alpha1.Percent(99), v1alpha1.Percent(2), 0.02, 3.0, 8.0
	slow := v1alpha1.LatencySLO{P: 95, Max: v1alpha1.Duration{Duration: 300 * time.Millisecond}}
	a := v1alpha1.Analysis{SLO: &v1alpha1.SLO{SuccessRate: &rate, Latency: &slow}, Allow: &v1alpha1.Allow{Refused: &refused}, FalseRollback: &alpha, PassMargin: &margin, PassMarginMax: &most}
	p := &rollout.Plan{Settings: rollout.Settings{Tick: 10 * time.Second}, Steps: []rollout.PlannedStep{{Step: strategy.Step{Min: time.Minute, Max: 2 * time.Minute}}, {Step: strategy.Step{Min: time.Minute}}}}
	c := judgeConfig(a, p, 5*time.Second, metrics.History{})
	near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
	if !near(c.ErrorFloor, 0.01) || !near(c.AllowRefused, 0.02) || !near(c.FalseRollback, 0.018) || c.PassMargin != 3 || c.PassMarginMax != 8 {
		t.Errorf("%+v", c)
	}
	if !near(c.SuccessTarget, 0.99) || !near(c.LatencyObjective.Target, 0.95) || c.LatencyObjective.Bound != 300 || c.SilentFails {
		t.Errorf("%+v", c)
	}
	p.Change.Policies = []policy.Policy{{Key: policy.Key{Kind: "Authorization"}}}
	if !judgeConfig(a, p, 0, metrics.History{}).SilentFails {
		t.Error("an Authorization that silences a service is no failure")
	}
	if c.Tick != 10*time.Second || c.Steps != 2 || c.PlannedTicks != 18 || c.Scrape != 5*time.Second {
		t.Errorf("%+v", c)
	}
}

// The rules look at the times that count: those of the flags where they take the place of the document's.
func TestValidationSeesTheFlags(t *testing.T) {
	short := strings.NewReplacer("{setWeight: 10}", "{setWeight: 50, max: 12s}", "bake: 7m", "bake: 8s").Replace(aRollout)
	for _, c := range []struct {
		flags rolloutFlags
		want  int
	}{
		{rolloutFlags{}, 2},
		{rolloutFlags{tick: 5 * time.Second}, 0},
		{rolloutFlags{bake: time.Minute}, 1},
		{rolloutFlags{bake: time.Minute, stepMax: time.Minute}, 0},
		{rolloutFlags{bake: time.Minute, steps: []float64{10, 50}}, 0},
	} {
		p, err := newPlanner(setOf(t, aTimeout, short), c.flags, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := validate.Check(p.set, nil, nil)
		found = slices.DeleteFunc(found, func(f validate.Finding) bool { return f.Code != "MP219" })
		if len(found) != c.want {
			t.Errorf("%+v: %v, want %d of MP219", c.flags, found, c.want)
		}
	}
}

func TestBadFlagValuesSayWhatIsWanted(t *testing.T) {
	for _, c := range [][2]string{{"--step-min=10", `--step-min "10": write a time with its unit, such as 30s or 5m; see meshpol rollout --help`},
		{"--steps=abc", "such as 10 or 1,10,50"}, {"--steps=1%", `--steps "1%": write numbers without a percent sign`},
		{"--min-requests=x", `--min-requests "x": write a whole number`}, {"--min-requests=99999999999", "more than it can hold"},
		{"--qps=x", "write a number, such as 10 or 0.5"}, {"--no-analysis=perhaps", "write true or false"}} {
		if code, _, stderr := alone(t, "rollout", c[0]); code != exitUsage || !strings.Contains(stderr, c[1]) || strings.Contains(stderr, "strconv") || strings.Contains(stderr, "time: ") {
			t.Errorf("%s: exit code %d: %s", c[0], code, stderr)
		}
	}
}

func TestPlanShowsPauses(t *testing.T) {
	step := rollout.PlannedStep{Step: strategy.Step{Kind: metrics.StepWatch, Min: time.Minute, Max: 2 * time.Minute, MinRequests: 20}}
	for want, s := range map[string]strategy.Step{
		"1m to 2m, 20 requests": {}, "after a person's word · 1m to 2m, 20 requests": {Pause: true}, "after a pause of 5m · 1m to 2m, 20 requests": {Pause: true, PauseFor: 5 * time.Minute},
	} {
		step.Pause, step.PauseFor = s.Pause, s.PauseFor
		if got := holdText(step); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What a policy may refuse is the same for the judge and the tripwire, whoever says it.
func TestTheTripwireAllowsWhatTheJudgeAllows(t *testing.T) {
	half, all := v1alpha1.Percent(0.5), v1alpha1.Percent(100)
	fault := policy.Policy{Key: policy.Key{Kind: "FaultInjection"}, Object: &v1alpha1.FaultInjection{
		Spec: v1alpha1.FaultInjectionSpec{Abort: &v1alpha1.FaultAbort{Percentage: 10}}}}
	for name, c := range map[string]struct {
		allow    *v1alpha1.Percent
		policies []policy.Policy
		want     float64
	}{"nothing": {nil, nil, 0}, "said": {&half, nil, 0.005}, "everything": {&all, nil, 0.99}, "injected": {nil, []policy.Policy{fault}, 0.1}} {
		a := v1alpha1.Analysis{}
		if c.allow != nil {
			a.Allow = &v1alpha1.Allow{Refused: c.allow}
		}
		p := &rollout.Plan{Change: policy.Change{Policies: c.policies}}
		if judge, wire := judgeConfig(a, p, 0, metrics.History{}).AllowRefused, tripwireConfig(a, p).AllowRefused; judge != c.want || wire != c.want {
			t.Errorf("%s: %v and %v, want %v", name, judge, wire, c.want)
		}
	}
}
