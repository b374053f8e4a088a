package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// readBack is the least window of a read, so that a scrape that came late is not lost.
const readBack = time.Minute

// hold begins to judge the step: what is counted from now on belongs to it.
func (r *run) hold(ctx context.Context) error {
	r.announce()
	r.state.Holding, r.state.Since, r.state.Tick = true, time.Now(), time.Now()
	r.facts.Judgement = metrics.Judgement{}
	return r.save(ctx)
}

// measure waits for the time and takes the interval since the last tick into the score.
func (r *run) measure(ctx context.Context, at time.Time) error {
	if err := r.keep(ctx, func(ctx context.Context) error { return sleep(ctx, time.Until(at)) }); err != nil {
		return err
	}
	now := time.Now()
	if r.Meter != nil && !r.plan.Settings.NoAnalysis {
		if err := r.judge(ctx, now); err != nil {
			return err
		}
	}
	r.state.Tick = now
	if err := r.lookForEdits(ctx); err != nil {
		return err
	}
	return r.save(ctx)
}

func (r *run) judge(ctx context.Context, now time.Time) error {
	step := r.plan.Steps[r.state.Step]
	tick := metrics.Tick{From: r.state.Tick, To: now}
	series, err := r.read(ctx, now)
	switch {
	case errors.Is(err, errRequested):
		return err
	case err != nil:
		tick.Fault = err.Error()
	default:
		r.counters, tick = r.counters.Step(series, r.state.Tick, now)
		r.noteCallers(step, series)
	}
	r.state.Judge, r.facts.Judgement = r.Judge.Step(r.state.Judge, judgeStep(r.state, step), tick, now)
	r.emit(Judged{Head: r.head(), Step: r.stepName(), Judgement: r.facts.Judgement})
	return nil
}

func judgeStep(s State, step PlannedStep) metrics.JudgeStep {
	out := metrics.JudgeStep{Index: s.Step, Kind: step.Kind, Min: step.Min, Max: step.Max, MinRequests: step.MinRequests, Started: s.Since}
	switch step.Exposure.By {
	case policy.ByRequest:
		out.Share = step.Exposure.Window.Share()
	case policy.ByInstance:
		out.ByInstance = true
	case policy.All:
		out.Share = 1
	}
	return out
}

// read asks for the counters of both sides; the window reaches back to the last tick.
func (r *run) read(ctx context.Context, now time.Time) ([]metrics.Series, error) {
	step := r.plan.Steps[r.state.Step]
	q, err := r.Mesh.Query(r.Snapshot, r.plan.Change, step.Exposure, r.sides())
	if err != nil {
		return nil, err
	}
	if r.counting {
		r.counters = r.counters.WithQuery(q)
	} else {
		r.counters, r.counting = metrics.NewCounters(q), true
	}
	window := max(now.Sub(r.state.Tick)+2*r.plan.Settings.Tick, readBack)
	var series []metrics.Series
	err = r.keep(ctx, func(ctx context.Context) (err error) {
		series, err = r.Meter.Read(ctx, q, now, window)
		return err
	})
	return series, err
}

// sides says which pods are under the new policy; nil where the populations are requests.
func (r *run) sides() map[string]metrics.Side {
	if r.plan.Steps[r.state.Step].Labels == nil {
		return nil
	}
	out := map[string]metrics.Side{}
	for _, pod := range r.facts.Candidates {
		out[pod] = metrics.Old
	}
	for _, pod := range r.state.Instances {
		out[pod] = metrics.New
	}
	return out
}

// noteCallers learns in step 0 which pods call the target: those are the cohort's candidates by instance.
func (r *run) noteCallers(step PlannedStep, series []metrics.Series) {
	if step.Kind != metrics.StepStage {
		return
	}
	callers := slices.Clone(r.state.Callers)
	for _, c := range metrics.CallersOf(series) {
		if !slices.Contains(callers, c) {
			callers = append(callers, c)
		}
	}
	slices.Sort(callers)
	r.state.Callers = callers
}

// candidates are the live pods of the callers' workloads, dealt round-robin over the workloads, so that a small cohort
// is not all of one workload.
func candidates(pods []policy.Pod, callers []string) []string {
	workloads := map[string]bool{}
	for _, p := range pods {
		if slices.Contains(callers, p.ID()) {
			workloads[p.Namespace+"/"+p.Workload] = true
		}
	}
	byWorkload := map[string][]string{}
	for _, p := range pods {
		w := p.Namespace + "/" + p.Workload
		if workloads[w] && p.Proxy && p.Ready && !p.Terminating {
			byWorkload[w] = append(byWorkload[w], p.ID())
		}
	}
	return dealt(byWorkload)
}

func dealt(groups map[string][]string) []string {
	var names []string
	longest := 0
	for name, ids := range groups {
		slices.Sort(ids)
		names = append(names, name)
		longest = max(longest, len(ids))
	}
	slices.Sort(names)
	var out []string
	for i := range longest {
		for _, n := range names {
			if i < len(groups[n]) {
				out = append(out, groups[n][i])
			}
		}
	}
	return out
}

// lookForEdits compares every touched object with what we wrote last.
func (r *run) lookForEdits(ctx context.Context) error {
	for _, t := range r.state.Touched {
		live, err := r.Objects.Get(ctx, t.Ref)
		if err != nil {
			return err
		}
		if SpecHash(live) != t.Spec {
			r.facts.Edited = strings.TrimSpace(fmt.Sprintf("%s was changed by somebody else during the rollout: %s", t.Ref, editedText(live)))
			return nil
		}
	}
	return nil
}
