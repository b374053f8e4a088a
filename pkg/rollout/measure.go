package rollout

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

const (
	// readBack is the least window of a read, so that a scrape that came late is not lost; longestTick the longest
	// interval that is asked for, however long nobody looked.
	readBack    = time.Minute
	longestTick = 15 * time.Minute
	// readPatience is how long a metrics source may think about an answer.
	readPatience = 15 * time.Second
)

// errNoMeter is what is judged where there is no metrics source and nobody said to go without.
var errNoMeter = errors.New("there is no metrics source")

// hold begins to judge the step: what is counted from now on belongs to it.
func (r *run) hold(ctx context.Context) error {
	r.announce()
	now := time.Now()
	r.state.Holding, r.state.Since, r.state.Tick, r.state.Polled, r.state.Seen = true, now, now, now, now
	r.facts.Judgement = metrics.Judgement{}
	step := r.plan.Steps[r.state.Step]
	if step.Labels != nil && step.Exposure.Mode != policy.Staged && len(r.facts.Candidates) == 0 {
		r.emit(Warned{Head: r.head(), Text: "nobody is in the cohort: no client pod of " + r.plan.Change.Target.String() + " is known"})
	}
	if err := r.save(ctx); err != nil || !r.liveSource() {
		return err
	}
	return r.baseline(ctx, now)
}

// baseline reads a live source at the moment from which on is counted, so that not even the first interval mixes two
// exposures. One that does not answer is asked again at the first tick.
func (r *run) baseline(ctx context.Context, now time.Time) error {
	series, err := r.read(ctx, now, now)
	var stop *stopped
	switch {
	case errors.As(err, &stop), ctx.Err() != nil:
		return err
	case err == nil:
		r.counters, _ = r.counters.Step(series, now, now)
	}
	return nil
}

// liveSource tells that the source knows nothing of the time before it was opened.
func (r *run) liveSource() bool {
	live, ok := r.Meter.(metrics.Live)
	return ok && live.Live() && !r.plan.Settings.NoAnalysis
}

// measure waits for the time and takes the interval since the last tick into the score. It looks for edits first: a
// verdict that cannot be acted upon at once is not kept.
func (r *run) measure(ctx context.Context, at time.Time) error {
	r.facts.Judgement = metrics.Judgement{}
	r.watchProxies(ctx)
	if err := r.keep(ctx, func(ctx context.Context) error { return sleep(ctx, time.Until(at)) }); err != nil {
		return err
	}
	if err := r.lookForEdits(ctx); err != nil || r.facts.Edited != "" {
		return err
	}
	if !r.plan.Settings.NoAnalysis {
		return r.judge(ctx)
	}
	r.state.Tick = time.Now()
	return r.save(ctx)
}

// judge reads one interval and stores the score with it, so that the interval is counted once, whoever goes on.
func (r *run) judge(ctx context.Context) error {
	now := time.Now()
	from := later(r.state.Tick, now.Add(-longestTick))
	if r.blind() {
		r.emit(Warned{Head: r.head(), Text: "reading the proxies directly: what was counted between the last run and this one is lost, the score goes on from now"})
		from = now
	}
	tick := metrics.Tick{From: from, To: now}
	series, err := r.read(ctx, from, now)
	var stop *stopped
	switch {
	case errors.As(err, &stop), ctx.Err() != nil:
		return err
	case err != nil:
		tick.Fault = err.Error()
	default:
		r.counters, tick = r.counters.Step(series, from, now)
		if s, ok := r.Meter.(metrics.Sampler); ok {
			tick.Sampled = s.Sampled()
		}
		r.noteCallers(series)
		r.noteBusy(tick)
	}
	if tick.Readings, err = r.ask(ctx, now); err != nil {
		return err
	}
	score, judgement := r.Judge.Step(r.state.Judge, JudgeStepOf(r.state, r.plan.Steps[r.state.Step]), tick, now)
	r.emit(Judged{Head: r.head(), Step: r.stepName(), Judgement: judgement})
	r.state.Judge, r.state.Polled = score, now
	if tick.Fault == "" {
		r.state.Tick = now // else the next reading reaches back to the last good one, and nothing is lost
	}
	if judgement.Verdict != metrics.NoData && judgement.Verdict != metrics.Error {
		r.state.Seen = now
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	r.facts.Judgement = judgement
	return nil
}

// ask puts the user's own checks to their source, all at once. What went wrong with one of them is its reading; the
// error is of the run.
func (r *run) ask(ctx context.Context, now time.Time) ([]metrics.Reading, error) {
	if r.Asker == nil || len(r.plan.Settings.Checks) == 0 {
		return nil, nil
	}
	out := make([]metrics.Reading, len(r.plan.Settings.Checks))
	err := r.keep(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readPatience)
		defer cancel()
		var group sync.WaitGroup
		for i, c := range r.rendered() {
			if c.Query == "" {
				out[i].Skipped = true
				continue
			}
			group.Go(func() {
				v, err := r.Asker.Ask(ctx, c.Query, now)
				out[i] = metrics.Reading{Query: c.Query, Value: v}
				if err != nil {
					out[i].Err = err.Error()
				}
			})
		}
		group.Wait()
		return nil
	})
	return out, err
}

// rendered are the checks with the cohort of now in them. One that needs a cohort where there is none is not asked.
func (r *run) rendered() []metrics.Check {
	out := slices.Clone(r.plan.Settings.Checks)
	for i := range out {
		if strings.Contains(out[i].Query, "$pods") && len(r.facts.Cohort) == 0 {
			out[i].Query = ""
			continue
		}
		out[i].Query = strings.NewReplacer("$rev", r.plan.Change.Rev, "$pods", podPattern(r.facts.Cohort)).Replace(out[i].Query)
	}
	return out
}

// podPattern is a regular expression on the names of pods ("namespace/pod").
func podPattern(pods []string) string {
	var names []string
	for _, pod := range pods {
		_, name, _ := strings.Cut(pod, "/")
		names = append(names, regexp.QuoteMeta(name))
	}
	return strings.Join(names, "|")
}

// blind tells that this run goes on after another one, with a source that knows nothing of the time before it: its first
// reading is what the next one is compared with.
func (r *run) blind() bool { return r.liveSource() && r.resumed && !r.counting }

// JudgeStepOf is what a judge must know of the step that a state is at.
func JudgeStepOf(s State, step PlannedStep) metrics.JudgeStep {
	out := metrics.JudgeStep{Index: s.Step, Kind: step.Kind, Min: step.Min, Max: step.Max, MinRequests: step.MinRequests, Started: s.Since, Resumes: s.Resumes}
	switch step.Exposure.By {
	case policy.ByRequest:
		out.Share = step.Exposure.Window.Share()
	case policy.ByInstance:
		out.ByInstance = true
		if step.Exposure.Share >= 1 {
			out.Share = 1 // all pods; fewer have a share of the requests that nobody knows
		}
	case policy.All:
		out.Share = 1
	}
	return out
}

// read asks for the counters of both sides; the window reaches back to the last tick.
func (r *run) read(ctx context.Context, from, now time.Time) ([]metrics.Series, error) {
	if r.Meter == nil {
		return nil, errNoMeter
	}
	step := r.plan.Steps[r.state.Step]
	q, err := r.Mesh.Query(r.Snapshot, r.plan.Change, step.Exposure, r.sides())
	if err != nil {
		return nil, err
	}
	switch {
	case r.counting:
		r.counters = r.counters.WithQuery(q)
	case r.state.Tick.Equal(r.state.Since):
		r.counters = metrics.NewCounters(q).SinceExposure(r.state.Since)
	default:
		r.counters = metrics.NewCounters(q)
	}
	r.counting = true
	window := max(now.Sub(from)+2*r.plan.Settings.tick(), readBack)
	var series []metrics.Series
	err = r.keep(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, readPatience)
		defer cancel()
		series, err = r.Meter.Read(ctx, q, now, window)
		return err
	})
	return series, err
}

// lookForEdits compares every touched object with what we wrote last.
func (r *run) lookForEdits(ctx context.Context) error {
	for _, t := range r.state.Touched {
		live, err := r.get(ctx, t.Ref)
		if err != nil {
			return err
		}
		if err := r.overtaken(live); err != nil {
			return err
		}
		if other := r.foreignMark(live); other != "" {
			return &MarkedError{Ref: t.Ref, Other: other}
		}
		if SpecHash(live) != t.Spec {
			r.facts.Edited = fmt.Sprintf("%s was changed by somebody else during the rollout: %s", t.Ref, editedText(live))
			return nil
		}
	}
	return nil
}
