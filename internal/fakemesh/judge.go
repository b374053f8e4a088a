package fakemesh

import (
	"fmt"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// Judge is a judge whose verdicts a test can foretell: a step passes once its least time is over and there are enough
// requests of the new side; a tenth of them failing, and twice as many as on the old side, is a Fail.
type Judge struct {
	// Say overrules the verdict of a step; an empty Verdict leaves it.
	Say func(step metrics.JudgeStep, tick metrics.Tick) metrics.Judgement
}

var _ metrics.Judge = Judge{}

// Step implements metrics.Judge.
func (j Judge) Step(state metrics.State, step metrics.JudgeStep, tick metrics.Tick, now time.Time) (metrics.State, metrics.Judgement) {
	next := metrics.State{Version: "fake", Step: step.Index, New: state.New, Old: state.Old, Ticks: state.Ticks + 1}
	if state.Step != step.Index {
		next.New, next.Old, next.Ticks = metrics.Counts{}, metrics.Counts{}, 1
	}
	next.New, next.Old = next.New.Plus(tick.Total(metrics.New)), next.Old.Plus(tick.Total(metrics.Old))
	out := metrics.Judgement{New: next.New, Old: next.Old, Elapsed: now.Sub(step.Started).Seconds()}
	out.Verdict, out.Reason = verdict(next, step, tick, now.Sub(step.Started))
	if j.Say != nil {
		if said := j.Say(step, tick); said.Verdict != "" {
			out.Verdict, out.Reason = said.Verdict, said.Reason
		}
	}
	return next, out
}

func verdict(s metrics.State, step metrics.JudgeStep, tick metrics.Tick, elapsed time.Duration) (metrics.Verdict, string) {
	text := fmt.Sprintf("%.0f of %.0f failed, %.0f of %.0f of the old side", s.New.Errors, s.New.Requests, s.Old.Errors, s.Old.Requests)
	rate := func(c metrics.Counts) float64 { return c.Errors / max(1, c.Requests) }
	switch {
	case step.Kind != metrics.StepStage && s.New.Errors >= 5 && rate(s.New) >= 0.1 && rate(s.New) > 2*rate(s.Old):
		return metrics.Fail, text
	case tick.Fault != "":
		return metrics.Error, tick.Fault
	case s.New.Requests == 0 && elapsed > 30*time.Second:
		return metrics.NoData, "no request of the new side"
	case elapsed >= step.Min && s.New.Requests >= step.MinRequests:
		return metrics.Pass, text
	}
	return metrics.Wait, "waiting"
}
