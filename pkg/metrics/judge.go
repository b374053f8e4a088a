package metrics

import (
	"maps"
	"time"
)

var _ Judge = FirstJudge{}

// FirstJudge compares the new side with the old one in the same intervals, with the e-process kernel of ANALYSIS.md
// section 3, and gives the verdicts of JUDGE.md section 2. What it does not have yet: history from before the rollout
// (φ, the floor and the bake's baseline come from the configuration and from the rollout itself), a bound on latency,
// the absolute SLO metric, the silent canary and the tripwire.
type FirstJudge struct {
	Config JudgeConfig
}

// NewFirstJudge is a judge with a checked configuration.
func NewFirstJudge(c JudgeConfig) (FirstJudge, error) {
	return FirstJudge{Config: c}, c.Validate()
}

// Step implements Judge. A tick that began before the step did is not scored, since it mixes two exposures.
func (j FirstJudge) Step(state State, step JudgeStep, tick Tick, now time.Time) (State, Judgement) {
	s, err := decodeScore(state)
	if err != nil {
		return state, Judgement{Verdict: Error, Reason: err.Error(), Elapsed: now.Sub(step.Started).Seconds()}
	}
	next := State{Version: firstVersion, Step: step.Index, New: state.New, Old: state.Old, Ticks: state.Ticks}
	if state.Version == "" || state.Step != step.Index {
		next.New, next.Old, next.Ticks = Counts{}, Counts{}, 0
		s = s.beginStep(step.Kind)
	}
	s, next, judgement := j.advance(s, next, step, tick, now)
	next.Detail = s.encode()
	return next, judgement
}

// advance is Step without the saved form.
func (j FirstJudge) advance(s score, state State, step JudgeStep, tick Tick, now time.Time) (score, State, Judgement) {
	s = s.noteSource(tick)
	if tick.Fault == "" && !tick.From.Before(step.Started.Add(-time.Second)) {
		s, state = j.observe(s, state, step, tick)
	}
	l := look{c: j.Config, s: s, step: step, tick: tick, now: now, fresh: state, elapsed: now.Sub(step.Started)}
	return s, state, l.judge()
}

// noteSource remembers whether the source answers, and how fresh it is.
func (s score) noteSource(t Tick) score {
	if t.Fault != "" {
		s.Faults, s.Fault = s.Faults+1, firstRunes(t.Fault, 300)
		return s
	}
	s.Faults, s.Fault = 0, ""
	s.Sides = [2]int{t.Series[New], t.Series[Old]}
	if !t.Newest.IsZero() {
		s.Newest = max(s.Newest, t.Newest.UnixMilli())
	}
	return s
}

func firstRunes(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}

// observe takes a tick's counts in, and scores what has gathered when a whole tick's time is full.
func (j FirstJudge) observe(s score, state State, step JudgeStep, tick Tick) (score, State) {
	state.New, state.Old = plusSums(state.New, tick.Total(New)), plusSums(state.Old, tick.Total(Old))
	kept := 1.0
	if step.Kind != StepStage {
		s, kept = s.refuse(tick, j.Config.AllowRefused)
		if len(s.Latency) == 0 && len(s.Pending) == 0 {
			s.Latency = chooseBounds(s.Tails, s.Timed, j.Config.LatencyTolerance)
		}
	}
	s = s.noteShare(tick).pend(tick, kept, step.ByInstance).remember(step.Kind, tick)
	if s.due(tick.To, j.Config.Tick) {
		s = j.scoreTick(s, step, state.Ticks == 0)
		state.Ticks++
	}
	return s, state
}

// plusSums adds without what a state does not keep.
func plusSums(a, b Counts) Counts {
	b.Slow = nil
	sum := a.Plus(b)
	maps.DeleteFunc(sum.Codes, func(_ string, n float64) bool { return n == 0 })
	return sum
}

// scoreTick turns the pending cells into evidence.
func (j FirstJudge) scoreTick(s score, step JudgeStep, first bool) score {
	weight := j.startWeight(s.Begun, step.Kind, first)
	if !s.Begun && step.Kind != StepStage {
		s.Begun, s.LatencyWeight = true, j.latencyWeight(s)
	}
	s.Errors, s.Floor = s.Errors.strata(s.K).start(weight), s.Floor.start(weight)
	switch step.Kind {
	case StepStage:
		s = j.scoreHalves(s, weight)
	case StepBake, StepFold:
		s = j.scoreHistory(s, step.Kind)
	default:
		s = j.scoreCohorts(s, step)
	}
	if step.Kind != StepStage {
		s.Latency = scoreLatency(s.Latency, s.Pending, weight)
	}
	s.Pending, s.PendingFrom = nil, 0
	return s
}

// startWeight is the prior weight of "the harm begins in this tick": 0.5 for the first tick of the first step, 0.3 over
// the later step starts, 0.2 over all other planned ticks; what is beyond the plan gets the rest, which is nothing.
func (j FirstJudge) startWeight(begun bool, kind StepKind, first bool) float64 {
	switch {
	case kind == StepStage && first, kind != StepStage && !begun:
		return 0.5
	case kind == StepStage:
		return 0.5 / 20 // five minutes of ticks
	case first:
		return 0.3 / float64(max(1, j.Config.Steps-1))
	default:
		return 0.2 / float64(j.Config.PlannedTicks)
	}
}

// latencyWeight is fixed when scoring begins: latency has its share of the error budget only if there are timings.
func (j FirstJudge) latencyWeight(s score) float64 {
	if j.Config.LatencyTolerance <= 0 || s.Timed <= 0 {
		return 0
	}
	return j.Config.LatencyWeight / (j.Config.ErrorWeight + j.Config.LatencyWeight)
}

// scoreCohorts compares both sides in each stratum: the observation is which share of the bad requests is the new side's.
func (j FirstJudge) scoreCohorts(s score, step JudgeStep) score {
	var sum cell
	for i, c := range s.Pending {
		s.Errors = scoreRatio(s.Errors, i, c.New, c.Old, j.Config.ErrorTolerance)
		if c.New.N > 0 {
			s.Floor = s.Floor.once(min(1, c.New.X/c.New.N), j.Config.ErrorFloor)
		}
		sum.New, sum.Old = half{N: sum.New.N + c.New.N, X: sum.New.X + c.New.X}, half{N: sum.Old.N + c.Old.N, X: sum.Old.X + c.Old.X}
	}
	if step.Share >= boundShare || step.Kind == StepProof {
		s.Bound = s.Bound.add(sum.New.X, sum.New.N, sum.Old.X, sum.Old.N, j.Config.ErrorFloor, j.Config.Clumping)
	}
	return s
}

// boundShare is the share from which a step's requests go into the bound.
const boundShare = 0.25

func scoreRatio(e evidence, stratum int, canary, stable half, tolerance float64) evidence {
	m := canary.X + stable.X
	if m <= 0 || canary.N <= 0 || stable.N <= 0 {
		return e
	}
	return e.once(stratum, canary.X/m, nullMean(canary.N, stable.N, tolerance))
}

// scoreHalves compares the identical halves of step 0 both ways.
func (j FirstJudge) scoreHalves(s score, weight float64) score {
	back, floor := s.Back.strata(s.K).start(weight), s.BackFloor.start(weight)
	for i, c := range s.Pending {
		s.Errors = scoreRatio(s.Errors, i, c.New, c.Old, j.Config.ErrorTolerance)
		back = scoreRatio(back, i, c.Old, c.New, j.Config.ErrorTolerance)
		if c.New.N > 0 && c.Old.N > 0 {
			s.Floor = s.Floor.once(min(1, c.New.X/c.New.N), j.Config.ErrorFloor)
			floor = floor.once(min(1, c.Old.X/c.Old.N), j.Config.ErrorFloor)
		}
	}
	s.Back, s.BackFloor = &back, &floor
	return s
}

// scoreHistory compares the new side with what the old policy did before, and the bake also with its holdback.
func (j FirstJudge) scoreHistory(s score, kind StepKind) score {
	tolerated := j.historyLimit(s, kind)
	var x, m, nc, ns float64
	for i, c := range s.Pending {
		if c.New.N > 0 {
			y := min(1, c.New.X/c.New.N)
			s.Errors = s.Errors.once(i, y, tolerated)
			s.Floor = s.Floor.once(y, j.Config.ErrorFloor)
		}
		x, m, nc, ns = x+c.New.X, m+c.New.X+c.Old.X, nc+c.New.N, ns+c.Old.N
	}
	if s.Veto != nil && nc > 0 && ns > 0 {
		veto := s.Veto.each(x, m, nullShare(nc, ns, j.Config.ErrorTolerance), j.Config.Clumping)
		s.Veto = &veto
	}
	return s
}
