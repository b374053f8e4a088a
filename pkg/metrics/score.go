package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// judgeVersion names the judge and the format of its score.
const judgeVersion = "judge/4"

// score is what the judge remembers of a rollout. Step-wise parts are reset when a step begins.
type score struct {
	// Begun tells that a step after step 0 has been scored; weights, floor and limit were fixed then.
	Begun   bool    `json:"begun,omitempty"`
	Weights weights `json:"w"`
	// Rate below which an error rate is nobody's concern.
	ErrorFloor float64 `json:"ef,omitempty"`
	// Past is the history from before the rollout, as it was when the rollout began; Own the same gathered by the rollout
	// itself from the old policy, Halves the clumping of its old side.
	Past   *Baseline `json:"past,omitempty"`
	Own    Baseline  `json:"own"`
	Halves clumps    `json:"halves,omitzero"`
	Single half      `json:"single,omitzero"` // a tick of one stratum that waits for its other half

	// Pods are hashes of pods in the order in which they were dealt into K strata, step-wise; by instance only those of
	// the new side, and Stable are the old side's.
	Pods   []uint16 `json:"pods,omitempty"`
	Stable []uint16 `json:"stable,omitempty"`
	K      int      `json:"k,omitempty"`
	// Pending are the strata's counts since PendingFrom (Unix milliseconds) that are not scored yet.
	Pending     []cell `json:"pending,omitempty"`
	PendingFrom int64  `json:"from,omitempty"`
	// Blind is how many milliseconds of the step were counted for nobody.
	Blind int64 `json:"blind,omitempty"`
	// Shares test the share, step-wise; Volume is how much flowed.
	Shares shares `json:"shares"`
	// Usable is the share of the requests that the split can place, as step 0 has shown it; 0 where it has not.
	Usable float64 `json:"usable,omitempty"`
	Volume volume  `json:"vol,omitzero"`
	// Sampled is the part of the pods that the source asked last, 0 being all.
	Sampled int `json:"sampled,omitempty"`
	// Incident is the last interval where it was of an incident. Spell counts the step's intervals, Spells those of the
	// rollout since step 1 in which the old side was there.
	Incident *incident `json:"incident,omitempty"`
	Spell    spells    `json:"spell,omitzero"`
	Spells   spells    `json:"spells,omitzero"`
	// Newest is the time of the newest sample (Unix milliseconds); Faults counts failed readings in a row; Sides is the
	// number of series seen, new and old; Unusable is why the source's numbers cannot be judged.
	Newest   int64  `json:"newest,omitempty"`
	Faults   int    `json:"faults,omitempty"`
	Fault    string `json:"fault,omitempty"`
	Unusable string `json:"unusable,omitempty"`
	Sides    [2]int `json:"sides"`

	// Errors and Floor are the two halves of the score of errors; Back is Errors with the sides exchanged, at step 0
	// only. Veto compares the bake with its holdback. Ladder tells the ratio that is surely exceeded.
	Errors  evidence  `json:"errors"`
	Floor   mixture   `json:"floor"`
	Back    *evidence `json:"back,omitempty"`
	Veto    *mixture  `json:"veto,omitempty"`
	Ladder  ladder    `json:"ladder"`
	Bound   bounds    `json:"bound"`
	Latency []slower  `json:"latency,omitempty"`
	// Success and Slow are the absolute objectives.
	Success *burning `json:"slo,omitempty"`
	Slow    *burning `json:"slow,omitempty"`

	Refusals refusals `json:"refusals,omitzero"`

	// Accepted is what the new side did when a person went on with it where nobody was left to compare with. Anew tells
	// that the scores began anew and have seen no interval yet.
	Accepted half `json:"accepted,omitzero"`
	Anew     bool `json:"anew,omitempty"`

	// Lately are both sides of the last interval that was scored, LatelyOld the old one's requests in it. Onset is of a
	// step without a holdback only.
	Lately    half    `json:"last,omitzero"`
	LatelyOld float64 `json:"lastOld,omitempty"`
	Onset     *onset  `json:"onset,omitempty"`
}

// weights share the error budget between the metrics; they sum to 1.
type weights struct {
	Errors    float64 `json:"e"`
	Latency   float64 `json:"l,omitempty"`
	Objective float64 `json:"o,omitempty"`
}

// cell is one stratum in one tick.
type cell struct {
	New half `json:"c"`
	Old half `json:"s"`
}

// half is one side of a cell: N requests, X of them bad, T timed, S of those slower than each chosen bound, L slower than
// the objective's.
type half struct {
	N float64   `json:"n,omitempty"`
	X float64   `json:"x,omitempty"`
	T float64   `json:"t,omitempty"`
	L float64   `json:"l,omitempty"`
	S []float64 `json:"s,omitempty"`
}

// with adds requests and bad ones.
func (h half) with(o half) half { return half{N: h.N + o.N, X: h.X + o.X} }

func (h half) plus(c Counts, bad float64, chosen []slower, o LatencyObjective) half {
	h.N, h.X, h.T = h.N+c.Requests, h.X+bad, h.T+c.Timed
	if o.Target > 0 {
		n, _ := o.slow(c)
		h.L += n
	}
	h.S = slices.Clone(h.S)
	for i, l := range chosen {
		if i >= len(h.S) {
			h.S = append(h.S, 0)
		}
		h.S[i] += c.Slow[l.Bound]
	}
	return h
}

func newScore(past Baseline) score {
	s := score{Errors: newEvidence(), Floor: newMixture(), Ladder: newLadder()}
	if past.Requests > 0 {
		s.Past = &past
	}
	return s
}

// past is what is known from before the rollout; empty where there is no history.
func (s score) past() Baseline {
	if s.Past == nil {
		return Baseline{}
	}
	return *s.Past
}

// flowed is the past as a measure of how much flows: of all pods, so none where only some are asked.
func (s score) flowed() Baseline {
	if s.Sampled > 0 {
		return Baseline{}
	}
	return s.past()
}

// timedBefore tells that the history has durations enough to choose the latency bounds.
func (s score) timedBefore() bool { return s.Past != nil && s.Past.Timed >= tailRequests }

// before is the best knowledge of the old policy: the history, else what the rollout itself saw.
func (s score) before(clumping float64) Baseline {
	if s.Past != nil {
		return *s.Past
	}
	b := s.Own
	b.Clumping = max(clumping, unknownClumping)
	return b
}

// clumping is φ of the errors. A history says it, but for one of enough errors whose pods were all in one half; a
// rollout's own few ticks may only raise what the configuration says.
func (s score) clumping(set float64) float64 {
	if s.Past != nil && (s.Past.Clumping != unknownClumping || s.Past.Errors < clumpEvents) {
		return s.Past.Clumping
	}
	return max(set, s.Halves.most())
}

// decodeScore reads a state; an empty one is a new score.
func decodeScore(state State, past Baseline) (score, error) {
	if state.Version == "" {
		return newScore(past), nil
	}
	if state.Version != judgeVersion {
		return score{}, fmt.Errorf("the saved score is of judge %q, this is %q: take the rollout back, or finish it with the version that began it",
			state.Version, judgeVersion)
	}
	var s score
	if err := json.Unmarshal(state.Detail, &s); err != nil {
		return score{}, fmt.Errorf("reading the saved score: %w", err)
	}
	if err := s.check(); err != nil {
		return score{}, fmt.Errorf("reading the saved score: %w", err)
	}
	return s, nil
}

// check refuses what encode cannot have written.
func (s score) check() error {
	switch {
	case s.K < 0 || s.K > maxStrata || len(s.Pending) > maxStrata:
		return errors.New("too many strata")
	case len(s.Latency) > tailBounds+1:
		return errors.New("too many latency bounds")
	case len(s.Pods) > dealtPods || len(s.Stable) > dealtPods:
		return errors.New("too many pods")
	case s.Past != nil && !(s.Past.Requests > 0 && s.Past.Errors >= 0 && s.Past.Clumping >= 1):
		return errors.New("the history is damaged")
	case s.Own.Requests < 0 || s.Own.Errors < 0:
		return errors.New("the sums are negative")
	default:
		return nil
	}
}

func (s score) encode() json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil {
		return nil // only a number that is none could do this; the counters let none in
	}
	return text
}

// beginStep resets what belongs to a step. The scores of harm go on through the steps, but for two cases. By instance
// every step has a cohort of its own, so that a score would leave out other pods than it means to. And the fold has
// nobody left to compare with: an incident of both sides that ended the bake must not decide there.
func (s score) beginStep(step JudgeStep) score {
	s.Pods, s.Stable, s.K, s.Pending, s.PendingFrom, s.Shares, s.Blind = nil, nil, 0, nil, 0, shares{}, 0
	whole := s.Onset != nil
	s.Back, s.Veto, s.Onset, s.Incident, s.Spell, s.Volume = nil, nil, nil, nil, spells{}, s.Volume.nextStep()
	anew := !s.Begun || step.ByInstance || step.bare()
	if anew {
		s.Errors, s.Floor, s.Ladder = newEvidence(), newMixture(), newLadder()
	}
	switch {
	case step.Kind == StepStage:
		back := newEvidence()
		s.Back = &back
	case step.bare():
		s.Onset = &onset{Before: s.Lately, Held: s.LatelyOld, Unchanged: whole && step.Kind == StepBake}
	case step.Kind == StepBake:
		veto := newMixture().start(1)
		s.Veto = &veto
	}
	if !s.Begun && step.Kind != StepStage && !s.timedBefore() {
		s.Latency = nil // chosen again, from all that step 0 has shown
	}
	s.Latency = slices.Clone(s.Latency)
	for i, l := range s.Latency {
		if anew {
			l = l.fresh()
		}
		l.New, l.Old, l.Back = half{}, half{}, nil
		s.Latency[i] = l
	}
	if anew && s.Success != nil {
		s.Success = s.Success.anew()
	}
	if anew && s.Slow != nil {
		s.Slow = s.Slow.anew()
	}
	return s
}

// remember adds what the old policy did, for rollouts without a history: the bake and the fold are compared with it.
func (s score) remember(kind StepKind, t Tick) score {
	if kind == StepBake || kind == StepFold {
		return s // the new policy is nearly all there is
	}
	old := t.Total(Old)
	if kind == StepStage {
		old = old.Plus(t.Total(New)) // identical halves: both are the old policy
	}
	s.Own.Requests, s.Own.Errors, s.Own.Timed = s.Own.Requests+old.Requests, s.Own.Errors+old.Errors, s.Own.Timed+old.Timed
	if !s.timedBefore() && !s.Begun {
		s.Own.Tails = addTails(s.Own.Tails, old.Slow)
	}
	return s
}
