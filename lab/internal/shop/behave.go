package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// BehaveCmd is `lab behave`: how the shop's pods treat their requests.
func BehaveCmd() *cobra.Command { return newBehave(openLab) }

// behaveFlags say which pods and what rule.
type behaveFlags struct {
	pod, app                 string
	path                     string
	clear                    bool
	delay, jitter, slowDelay time.Duration
	rule                     app.Rule
}

func newBehave(open opener) *cobra.Command {
	var f behaveFlags
	cmd := &cobra.Command{
		Use:   "behave --app NAME | --pod NAME",
		Short: "Make pods of the shop slow, failing or hanging; show or clear how they behave",
		Long: `Make pods of the shop slow, failing or hanging, for all paths or those that start with --path.

The flags given are the whole rule of that path: they replace the one before. The rule with the longest matching path
wins. Without any of them the rules in force are shown.`,
		Example: `  lab behave --app user-service --path /users --delay 300ms --jitter 100ms
  lab behave --pod user-service-v2-0 --fail 0.2 --fail-code 500
  lab behave --app stock --fail 0.2 --fail-status 13
  lab behave --app user-service --fail 1 --fail-attempts 1     # the first attempt fails, a retry succeeds
  lab behave --app user-service --clear --path /users
  lab behave --app user-service --clear`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			change, err := f.change(cmd.Flags())
			if err != nil {
				return err
			}
			r, err := openFor(cmd, open)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), r, change, cmd.OutOrStdout())
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func (f *behaveFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.pod, "pod", "", "one pod")
	flags.StringVar(&f.app, "app", "", "all pods of an app; a comma list of apps")
	flags.StringVar(&f.path, "path", "/", "paths that start with this")
	flags.BoolVar(&f.clear, "clear", false, "remove the rule of --path, or without --path all rules")
	flags.DurationVar(&f.delay, "delay", 0, "wait before every answer")
	flags.DurationVar(&f.jitter, "jitter", 0, "wait a random part of this more")
	flags.Float64Var(&f.rule.FailRatio, "fail", 0, "share of requests that fail, 0 to 1")
	flags.IntVar(&f.rule.FailCode, "fail-code", 0, "status of a failure (default 503)")
	flags.IntVar(&f.rule.FailStatus, "fail-status", 0, "gRPC status of a failure, 1 to 16 (default 14, UNAVAILABLE)")
	flags.IntVar(&f.rule.FailAttempts, "fail-attempts", 0, "only the first so many attempts of a request fail (default all)")
	flags.Float64Var(&f.rule.SlowRatio, "slow", 0, "share of requests that wait --slow-delay more, 0 to 1")
	flags.DurationVar(&f.slowDelay, "slow-delay", 0, "how much more the slow ones wait")
	flags.Float64Var(&f.rule.HangRatio, "hang", 0, "share of requests that are never answered, 0 to 1")
	flags.Float64Var(&f.rule.ResetRatio, "reset", 0, "share of requests whose connection is reset, 0 to 1")
	flags.IntVar(&f.rule.MaxInFlight, "max-in-flight", 0, "requests at once; more are answered 503 (default no limit)")
}

// change turns the rules of a pod into those asked for; nil shows them only.
func (f *behaveFlags) change(flags *pflag.FlagSet) (func([]app.Rule) []app.Rule, error) {
	if (f.pod == "") == (f.app == "") {
		return nil, errors.New("choosing the pods: give either --app or --pod")
	}
	shaping := false
	flags.Visit(func(flag *pflag.Flag) {
		if !slices.Contains([]string{"pod", "app", "path", "clear", "name"}, flag.Name) {
			shaping = true
		}
	})
	switch {
	case f.clear && shaping:
		return nil, errors.New("choosing the behaviour: --clear goes with no flag but --app, --pod and --path")
	case f.clear && !flags.Changed("path"):
		return func([]app.Rule) []app.Rule { return []app.Rule{} }, nil
	case f.clear:
		return f.without, nil
	case !shaping:
		return nil, nil
	}
	f.rule.Path, f.rule.Delay = f.path, jsonhttp.Duration(f.delay)
	f.rule.Jitter, f.rule.SlowDelay = jsonhttp.Duration(f.jitter), jsonhttp.Duration(f.slowDelay)
	return func(rules []app.Rule) []app.Rule { return append(f.without(rules), f.rule) }, nil
}

// without is the rules of the other paths.
func (f *behaveFlags) without(rules []app.Rule) []app.Rule {
	out := []app.Rule{}
	for _, rule := range rules {
		if rule.Path != f.path {
			out = append(out, rule)
		}
	}
	return out
}

func (f *behaveFlags) run(ctx context.Context, r reach, change func([]app.Rule) []app.Rule, w io.Writer) error {
	pods, err := f.pods(ctx, r)
	if err != nil {
		return err
	}
	rules, err := fleet.Each(pods, func(pod fleet.Pod) ([]app.Rule, error) {
		var rules []app.Rule
		if err := r.control.Call(ctx, pod, http.MethodGet, "/behaviour", nil, &rules); err != nil || change == nil {
			return rules, err
		}
		var now []app.Rule
		err := r.control.Call(ctx, pod, http.MethodPut, "/behaviour", change(rules), &now)
		return now, err
	})
	if err != nil {
		return err
	}
	return writeRules(w, pods, rules)
}

func (f *behaveFlags) pods(ctx context.Context, r reach) ([]fleet.Pod, error) {
	if f.pod == "" {
		return r.pods(ctx, f.app)
	}
	pod, err := fleet.Named(ctx, r.kubeconfig, f.pod)
	return []fleet.Pod{pod}, err
}

func writeRules(w io.Writer, pods []fleet.Pod, rules [][]app.Rule) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POD\tRULES")
	for i, pod := range pods {
		text, err := json.Marshal(rules[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\n", pod.Name, text)
	}
	return table.Flush()
}
