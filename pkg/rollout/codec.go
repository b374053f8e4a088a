package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
)

// maxState bounds the encoded state, which lives in an annotation (DESIGN.md §6).
const maxState = 32 << 10

// What a state keeps of long texts and lists when it is too large. The events told them in full.
const (
	maxReason    = 1000
	shortReason  = 80
	maxInstances = 20
	keptResults  = 3
)

// Encode writes the state; it refuses one that an annotation could not hold.
func (s State) Encode() (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding the state of rollout %s: %w", s.Name, err)
	}
	if len(b) > maxState {
		return "", fmt.Errorf("encoding the state of rollout %s: %d bytes, more than the %d that an annotation may hold", s.Name, len(b), maxState)
	}
	return string(b), nil
}

// DecodeState reads a state of this or an older version. What Next and the executor rely on is checked.
func DecodeState(text string) (State, error) {
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return State{}, fmt.Errorf("decoding a rollout's state: %w", err)
	}
	switch {
	case s.Version < 1 || s.Version > StateVersion:
		return State{}, fmt.Errorf("decoding a rollout's state: version %d, this meshpol knows 1 to %d; use the newer meshpol that wrote it", s.Version, StateVersion)
	case !slices.Contains(phases(), s.Phase):
		return State{}, fmt.Errorf("decoding the state of rollout %s: the phase %q is not known", s.Name, s.Phase)
	case s.Step < 0, s.Stage < 0, s.Undo < 0, s.Fence < 0:
		return State{}, fmt.Errorf("decoding the state of rollout %s: a counter is negative (step %d, stage %d, undo %d, fence %d)", s.Name, s.Step, s.Stage, s.Undo, s.Fence)
	}
	return s, nil
}

func phases() []Phase {
	return []Phase{Pending, Validating, AwaitingApproval, Progressing, Paused, Baking, Folding, Succeeded, RollingBack, RolledBack, Failed, Superseded}
}

// fitted is the state as small as it must be for an annotation: first the finished steps lose their details, then the
// oldest of them go. What a runner needs to go on is never cut.
func (s State) fitted() State {
	s.Reason = firstRunes(s.Reason, maxReason)
	for _, less := range []func(State) State{State.withoutCodes, State.withShortReasons, State.withFewInstances} {
		if s.fits() {
			return s
		}
		s = less(s)
	}
	for len(s.Results) > keptResults && !s.fits() {
		s.Results = s.Results[1:]
	}
	return s
}

func (s State) fits() bool {
	_, err := s.Encode()
	return err == nil
}

func (s State) withoutCodes() State {
	s.Results = slices.Clone(s.Results)
	for i := range s.Results {
		s.Results[i].Judgement.New.Codes, s.Results[i].Judgement.Old.Codes = nil, nil
	}
	if s.Decided != nil {
		d := *s.Decided
		d.Judgement.New.Codes, d.Judgement.Old.Codes = nil, nil
		s.Decided = &d
	}
	return s
}

func (s State) withShortReasons() State {
	s.Results = slices.Clone(s.Results)
	for i := range s.Results {
		s.Results[i].Judgement.Reason = firstRunes(s.Results[i].Judgement.Reason, shortReason)
	}
	if s.Decided != nil { // Reason says it in full
		d := *s.Decided
		d.Judgement.Reason = firstRunes(d.Judgement.Reason, shortReason)
		s.Decided = &d
	}
	return s
}

func (s State) withFewInstances() State {
	s.Instances = s.Instances[:min(len(s.Instances), maxInstances)]
	return s
}

func firstRunes(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}
