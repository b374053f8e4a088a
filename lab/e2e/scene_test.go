//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// scene is one test's view of the lab: an empty slate at its beginning, and the load that it asked for.
type scene struct {
	*testing.T
	lab    *trial.Lab
	ctx    context.Context
	dir    string
	load   *trial.Load
	before map[string]string
}

// settle is the time in which the proxies hear of what a test has cleared and prepared. Requests that are sent before
// may meet a route to a subset of the test before, which is gone already.
const settle = time.Second

// newScene clears the lab, lets prepare put user objects and behaviours in place, and starts the load.
func newScene(t *testing.T, rps float64, prepare func(*scene)) *scene {
	t.Helper()
	ctx, cancel := context.WithTimeout(the.ctx, 6*time.Minute)
	t.Cleanup(cancel)
	s := &scene{T: t, lab: the.lab, ctx: ctx, dir: t.TempDir()}
	s.must(s.lab.Clear(ctx))
	if prepare != nil {
		prepare(s)
	}
	if rps > 0 {
		time.Sleep(settle)
		load, err := s.lab.StartLoad(ctx, rps, 6*time.Minute)
		s.must(err)
		s.load = load
		t.Cleanup(func() { load.Stop(context.WithoutCancel(ctx)) })
	}
	s.before = s.objects()
	return s
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) objects() map[string]string {
	s.Helper()
	o, err := s.lab.Objects(s.ctx)
	s.must(err)
	return o
}

// file writes a policy for a service of the shop and returns its path.
func (s *scene) file(kind, name, service, spec string) string {
	s.Helper()
	text := fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\nspec:\n  target:\n    service: %s\n%s",
		kind, name, trial.Namespace, service, spec)
	path, err := trial.WriteFile(s.dir, name+".yaml", text)
	s.must(err)
	return path
}

// quick are times that let a rollout end within a minute; the lab's Prometheus scrapes every second. The time before is
// left out: it is that of other tests, which had the service fail.
func quick(args ...string) []string {
	return append(args, "--step0-min", "4s", "--step0-max", "40s", "--step-min", "4s", "--step-max", "40s",
		"--bake", "4s", "--fold-watch", "3s", "--tick", "2s", "--history", "0")
}

// lenient is a Rollout that goes on without the bounds that some thousand requests cannot show: those of a real one, of
// latency above all, take minutes.
func (s *scene) lenient(name string) []string {
	s.Helper()
	path, err := trial.WriteFile(s.dir, "lenient.yaml", "apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: "+name+", namespace: "+trial.Namespace+"}\n"+
		"spec: {strategy: {canary: {}}, analysis: {passMarginMax: 20, latencyMarginMax: 3, slo: {successRate: 99.9}, onInconclusive: promote}}\n")
	s.must(err)
	return []string{"-f", path}
}

// meshpol runs meshpol to its end and wants an exit code.
func (s *scene) meshpol(wantExit int, args ...string) *trial.Run {
	s.Helper()
	r, err := s.lab.Run(s.ctx, args...)
	s.must(err)
	s.wantExit(r, wantExit)
	return r
}

func (s *scene) wantExit(r *trial.Run, want int) {
	s.Helper()
	if r.Exit != want {
		s.Fatalf("meshpol %s: exit code %d, want %d\nstdout: %s\nstderr: %s\nevents:\n%s", strings.Join(r.Args, " "), r.Exit, want, r.Stdout, r.Stderr, eventText(r))
	}
}

func eventText(r *trial.Run) string {
	var b strings.Builder
	for _, e := range r.Events() {
		fmt.Fprintf(&b, "  %s %s %v\n", e.At.Format("15:04:05.000"), e.Event, e.Fields)
	}
	return b.String()
}

// says wants a text in what meshpol printed.
func (s *scene) says(r *trial.Run, text string) {
	s.Helper()
	if !strings.Contains(r.Stdout+r.Stderr+eventText(r), text) {
		s.Errorf("meshpol %s does not say %q; it says:\n%s%s", strings.Join(r.Args, " "), text, r.Stdout, r.Stderr)
	}
}

// untouched wants the mesh as it was at the beginning, no pod in a cohort.
func (s *scene) untouched() {
	s.Helper()
	s.same(s.before, s.objects())
	pods, err := s.lab.CohortPods(s.ctx)
	s.must(err)
	if len(pods) > 0 {
		s.Errorf("pods still in a cohort: %v", pods)
	}
}

func (s *scene) same(want, got map[string]string) {
	s.Helper()
	names := map[string]bool{}
	for n := range want {
		names[n] = true
	}
	for n := range got {
		names[n] = true
	}
	for n := range names {
		if want[n] != got[n] {
			s.Errorf("%s differs:\nwant %s\ngot  %s", n, want[n], got[n])
		}
	}
}

// records are what the clients saw, after the answers that are still under way have come.
func (s *scene) records() referee.Log {
	s.Helper()
	time.Sleep(1500 * time.Millisecond)
	log, err := s.load.Records(s.ctx)
	s.must(err)
	return log
}

// shares wants every step's share within five standard errors, as the clients saw it.
func (s *scene) shares(r *trial.Run, log referee.Log, tells, isNew referee.Predicate) {
	s.Helper()
	for _, step := range r.Steps() {
		if step.By != "request" || step.Mode != "enforce" {
			continue
		}
		seen := trial.See(log, step, tells, isNew)
		s.Logf("step %s: asked %.1f %%, clients saw %.2f %% of %d (%+.1f standard errors), %d/%d proxies in %.2f s",
			step.Name, step.Share*100, seen.Share()*100, seen.Total, seen.Sigmas(), step.Confirmed, step.Concerned, step.Took.Seconds())
		if seen.Total == 0 || seen.Sigmas() > 5 || seen.Sigmas() < -5 {
			s.Errorf("step %s: share %.2f %% of %d requests, asked %.1f %%", step.Name, seen.Share()*100, seen.Total, step.Share*100)
		}
	}
}

// noErrors wants that no client saw an error.
func (s *scene) noErrors(log referee.Log) {
	s.Helper()
	tally := referee.Count(log.Records, referee.Bad)
	if tally.Bad > 0 || tally.Total == 0 {
		harm := referee.Harmed(log.Records, referee.Interval{}, referee.Bad)
		s.Errorf("clients saw %d errors in %d requests, from %s to %s: %v", tally.Bad, tally.Total,
			harm.First.Start().Format("15:04:05.000"), harm.Last.Start().Format("15:04:05.000"), tally.Outcomes)
	}
}

func answered(r referee.Record) bool { return r.Server != referee.NoServer }

func told(ms uint32) referee.Predicate {
	return func(r referee.Record) bool { return r.ExpectedTimeout == ms }
}

func code(c referee.Outcome) referee.Predicate {
	return func(r referee.Record) bool { return r.Outcome == c }
}

func slow(path string, d time.Duration, ratio float64) app.Rule {
	return app.Rule{Path: path, SlowRatio: ratio, SlowDelay: jsonhttp.Duration(d)}
}

// stepNames are the names of a run's steps in order.
func stepNames(r *trial.Run) []string {
	var out []string
	for _, st := range r.Steps() {
		out = append(out, st.Name)
	}
	return slices.Clip(out)
}
