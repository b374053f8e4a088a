package metrics

import (
	"maps"
	"time"
)

var _ Judge = SequentialJudge{}

// SequentialJudge compares the new side with the old one in the same intervals, with the e-process kernel of ANALYSIS.md
// section 3, and gives the verdicts of JUDGE.md section 2: errors, latency and absolute objectives share one error
// budget over the whole rollout. docs/design/judge.md tells what is built and where it deviates.
type SequentialJudge struct {
	Config JudgeConfig
	past   Baseline
}

// NewJudge is a judge with a checked configuration.
func NewJudge(c JudgeConfig) (SequentialJudge, error) {
	j := SequentialJudge{Config: c, past: c.History.Baseline()}
	j.Config.History = History{} // summed up; six hours of ticks need not be carried along
	return j, c.Validate()
}

// Step implements Judge. A tick that began before the step did is not scored, since it mixes two exposures.
func (j SequentialJudge) Step(state State, step JudgeStep, tick Tick, now time.Time) (State, Judgement) {
	s, err := decodeScore(state, j.past)
	if err != nil {
		return state, Judgement{Verdict: Error, Reason: err.Error(), Elapsed: now.Sub(step.Started).Seconds()}
	}
	s, next := s.enter(state, step)
	s, next, judgement := j.advance(s, next, step, tick, now)
	next.Detail = s.encode()
	return next, judgement
}

// enter is the state in which a tick of the step is taken in: with the step's own sums at 0 if the step is new.
func (s score) enter(state State, step JudgeStep) (score, State) {
	next := State{Version: judgeVersion, Step: step.Index, New: state.New, Old: state.Old, Ticks: state.Ticks}
	if state.Version == "" || state.Step != step.Index {
		next.New, next.Old, next.Ticks = Counts{}, Counts{}, 0
		s = s.beginStep(step)
	}
	if next.Resumes = step.Resumes; state.Version != "" && step.Resumes > state.Resumes {
		s = s.resume()
	}
	return s, next
}

// advance is Step without the saved form.
func (j SequentialJudge) advance(s score, state State, step JudgeStep, tick Tick, now time.Time) (score, State, Judgement) {
	s = s.noteSource(tick)
	if tick.Fault == "" && !tick.From.Before(step.Started.Add(-time.Second)) {
		s.Blind += tick.Lost.Milliseconds()
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
	s.Faults, s.Fault, s.Unusable = 0, "", firstRunes(t.Unusable, 300)
	if t.Sampled != s.Sampled { // what flowed before is that of other pods
		s.Sampled, s.Volume = t.Sampled, volume{}
	}
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
func (j SequentialJudge) observe(s score, state State, step JudgeStep, tick Tick) (score, State) {
	first := state.Ticks == 0 && len(s.Pending) == 0
	state.New, state.Old = plusSums(state.New, tick.Total(New)), plusSums(state.Old, tick.Total(Old))
	kept := 1.0
	if step.Kind != StepStage && j.Config.AllowRefused > 0 {
		c := tick.Total(New)
		if first {
			s.Refusals = s.Refusals.widen(j.Config.AllowRefused, s.expected(step, tick, c.Requests))
		}
		s.Refusals, kept = s.Refusals.take(j.Config.AllowRefused, c.Refused, c.Requests)
	}
	if len(s.Latency) == 0 && len(s.Pending) == 0 && !step.bare() {
		s = j.chooseLatency(s, tick)
	}
	s = s.pend(tick, kept, step.ByInstance && !step.bare(), j.Config.LatencyObjective).remember(step.Kind, tick)
	if s.due(tick.To, j.Config.Tick) {
		s = j.scoreTick(s, step, state.Ticks == 0, tick.To)
		state.Ticks++
	}
	return s, state
}

// expected are the new side's requests of ten minutes at the step's share, or at the rate of its first tick.
func (s score) expected(step JudgeStep, t Tick, seen float64) float64 {
	if rate := s.Volume.rate(s.flowed()); rate > 0 && step.Share > 0 {
		return step.Share * rate * bucketWindow
	}
	return seen * bucketWindow / max(1, t.To.Sub(t.From).Seconds())
}

// chooseLatency fixes the latency bounds, from the history if it has durations, else from what the rollout has seen. The
// history may be of other histograms: a bound that nobody counts now would never be exceeded, and prove anything.
func (j SequentialJudge) chooseLatency(s score, t Tick) score {
	if s.timedBefore() {
		seen := t.Total(Old).Plus(t.Total(New))
		if seen.Timed <= 0 {
			return s // its buckets are not known yet
		}
		s.Past = s.Past.counting(seen.Slow)
	}
	if !s.timedBefore() {
		s.Latency = chooseBounds(s.Own.Tails, s.Own.Timed, j.Config.LatencyTolerance)
		return s
	}
	past := *s.Past
	s.Latency = chooseBounds(past.Tails, past.Timed, j.Config.LatencyTolerance)
	past.Tails = nil // the bounds are all that is wanted of them
	s.Past = &past
	return s
}

// plusSums adds without what a state does not keep.
func plusSums(a, b Counts) Counts {
	b.Slow = nil
	sum := a.Plus(b)
	maps.DeleteFunc(sum.Codes, func(_ string, n float64) bool { return n == 0 })
	return sum
}

// scoreTick turns the pending cells into evidence.
func (j SequentialJudge) scoreTick(s score, step JudgeStep, first bool, to time.Time) score {
	weight := j.startWeight(s.Begun && !s.Anew, step, first || s.Anew)
	s.Anew = false
	if !s.Begun && step.Kind != StepStage {
		s = j.begin(s)
	}
	c, o := s.sums()
	s.Shares = s.Shares.add(c.N, o.N, step.Share)
	if step.Kind == StepStage && step.Share > 0 {
		s.Usable = min(1, max(0, 1+s.Shares.mean()/step.Share))
	}
	s.Volume = s.Volume.add(to.Sub(time.UnixMilli(s.PendingFrom)).Seconds(), c.N, o.N)
	s = j.noteIncident(s, step, c, o)
	k := len(s.Pending)
	s.Errors, s.Floor, s.Ladder = s.Errors.strata(k).start(weight), s.Floor.start(weight), s.Ladder.start(weight)
	if !step.bare() || !s.struck() { // what did not begin with the step cannot be its harm
		s = j.scoreHarm(s, step, weight)
	}
	if step.Kind != StepBake && step.Kind != StepFold && !s.struck() {
		s = s.gathers(step.Kind == StepStage)
	}
	s.Lately, s.LatelyOld = half{N: c.N + o.N, X: c.X + o.X}, o.N
	s.Pending, s.PendingFrom = nil, 0
	return s
}

// scoreHarm takes the pending cells into every score of harm.
func (j SequentialJudge) scoreHarm(s score, step JudgeStep, weight float64) score {
	switch {
	case step.Kind == StepStage:
		s = j.scoreHalves(s, weight)
	case step.Kind == StepBake || step.bare():
		s = j.scoreHistory(s, step)
	default:
		s = j.scoreCohorts(s, step)
	}
	if !step.bare() {
		proving := step.Kind != StepStage && step.Kind != StepBake && (step.Share >= boundShare || step.Kind == StepProof)
		s.Latency = scoreLatency(s.Latency, s.Pending, weight, step.Kind == StepStage, proving, j.Config.Clumping)
	}
	if step.Kind != StepStage {
		s = j.scoreObjectives(s, weight)
	}
	return s
}

// begin fixes, before the first tick under the new policy is scored, what the scores rest on: the floor, and the weights
// of those metrics that are there.
func (j SequentialJudge) begin(s score) score {
	s.Begun = true
	s.ErrorFloor = j.Config.ErrorFloor
	if s.ErrorFloor <= 0 {
		b := s.before(j.Config.Clumping)
		s.ErrorFloor = ErrorFloor(b.Errors, b.Requests)
	}
	timed := s.Own.Timed > 0 || s.past().Timed > 0
	w := weights{Errors: j.Config.ErrorWeight}
	if timed && j.Config.LatencyTolerance > 0 {
		w.Latency = j.Config.LatencyWeight
	}
	if j.Config.SuccessTarget > 0 {
		s.Success = newBurning()
	}
	if timed && j.Config.LatencyObjective.Target > 0 {
		s.Slow = newBurning()
	}
	if s.Success != nil || s.Slow != nil {
		w.Objective = j.Config.ObjectiveWeight
	}
	sum := w.Errors + w.Latency + w.Objective
	s.Weights = weights{Errors: w.Errors / sum, Latency: w.Latency / sum, Objective: w.Objective / sum}
	s.Own.Tails = nil // the bounds are chosen
	return s
}

// startWeight is the prior weight of "the harm begins in this tick": 0.5 for the first tick of the first step, 0.3 over
// the later step starts, 0.2 over all other planned ticks; what is beyond the plan gets the rest, which is nothing. By
// instance every step begins a score of its own, with 0.3 of the budget (less where there are more than three steps) and
// 0.1 over its other ticks (JUDGE.md section 3).
func (j SequentialJudge) startWeight(begun bool, step JudgeStep, first bool) float64 {
	n, ticks := float64(j.Config.Steps), float64(j.Config.PlannedTicks)
	switch {
	case step.Kind == StepStage && first:
		return 0.5
	case step.Kind == StepStage:
		return 0.5 / 20 // five minutes of ticks
	case step.ByInstance && first:
		return min(0.3, 0.9/n)
	case step.ByInstance:
		return 0.1 / ticks
	case !begun:
		return 0.5
	case first:
		return 0.3 / n
	default:
		return 0.2 / ticks
	}
}

// scoreCohorts compares both sides in each stratum: the observation is which share of the bad requests is the new side's.
func (j SequentialJudge) scoreCohorts(s score, step JudgeStep) score {
	for i, c := range s.Pending {
		s.Errors = scoreRatio(s.Errors, i, c.New, c.Old, j.Config.ErrorTolerance)
		s.Ladder = s.Ladder.once(c.New, c.Old)
		if c.New.N > 0 {
			s.Floor = s.Floor.once(min(1, c.New.X/c.New.N), s.ErrorFloor)
		}
	}
	if (step.Share >= boundShare || step.Kind == StepProof) && !s.struck() {
		c, o := s.sums()
		o = j.usual(s, o)
		s.Bound = s.Bound.add(c.X, c.N, o.X, o.N, s.ErrorFloor, s.clumping(j.Config.Clumping))
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
	return e.once(stratum, canary.X/m, nullMean(max(canary.N, canary.X), max(stable.N, stable.X), tolerance))
}

// scoreHalves compares the identical halves of step 0 both ways.
func (j SequentialJudge) scoreHalves(s score, weight float64) score {
	back := newEvidence()
	if s.Back != nil {
		back = *s.Back
	}
	back = back.strata(len(s.Pending)).start(weight)
	for i, c := range s.Pending {
		s.Errors = scoreRatio(s.Errors, i, c.New, c.Old, j.Config.ErrorTolerance)
		back = scoreRatio(back, i, c.Old, c.New, j.Config.ErrorTolerance)
	}
	s.Back = &back
	return s
}

// scoreHistory compares the new side with what the old policy did before, and the bake also with its holdback.
func (j SequentialJudge) scoreHistory(s score, step JudgeStep) score {
	tolerated := j.historyLimit(s, step)
	for i, c := range s.Pending {
		if c.New.N > 0 {
			y := min(1, c.New.X/c.New.N)
			s.Errors = s.Errors.once(i, y, tolerated)
			s.Floor = s.Floor.once(y, s.ErrorFloor)
		}
		s.Ladder = s.Ladder.once(c.New, c.Old)
	}
	c, o := s.sums()
	if s.Veto != nil && c.N > 0 && o.N > 0 {
		share := nullShare(max(c.N, c.X), max(o.N, o.X), j.Config.ErrorTolerance)
		veto := s.Veto.each(c.X, c.X+o.X, share, s.vetoClumping(j.Config.Clumping))
		s.Veto = &veto
	}
	return s
}

// historyLimit is the error rate that a comparison with the past tolerates: BakeTolerance times U where a holdback may
// object, BareTolerance times U where nobody can (JUDGE.md section 2). Nothing known of the old policy: GrossErrors.
func (j SequentialJudge) historyLimit(s score, step JudgeStep) float64 {
	before := s.before(s.clumping(j.Config.Clumping))
	switch {
	case before.Requests <= 0:
		return max(j.Config.GrossErrors, j.bareLimit(s, Baseline{}))
	case step.bare():
		return j.bareLimit(s, before)
	default:
		return min(1, j.Config.BakeTolerance*before.limit())
	}
}

// bareLimit is the error rate that is tolerated where nobody is left to compare with: above what was before, and above
// what a person has seen and gone on with.
func (j SequentialJudge) bareLimit(s score, before Baseline) float64 {
	limit := 0.0
	seen := Baseline{Requests: s.Accepted.N, Errors: s.Accepted.X, Clumping: s.clumping(j.Config.Clumping)}
	for _, b := range []Baseline{before, seen} {
		if b.Requests > 0 {
			limit = max(limit, min(1, j.Config.BareTolerance*b.limit()))
		}
	}
	return limit
}

// scoreObjectives takes the pending cells into the absolute objectives.
func (j SequentialJudge) scoreObjectives(s score, weight float64) score {
	k := len(s.Pending)
	if s.Success != nil {
		b := s.Success.start(weight, k)
		for i, c := range s.Pending {
			b.once(i, c.New, c.Old, 1-j.Config.SuccessTarget, j.Config)
		}
		s.Success = b
	}
	if s.Slow != nil {
		b := s.Slow.start(weight, k)
		for i, c := range s.Pending {
			b.once(i, half{N: c.New.T, X: c.New.L}, half{N: c.Old.T, X: c.Old.L}, 1-j.Config.LatencyObjective.Target, j.Config)
		}
		s.Slow = b
	}
	return s
}
