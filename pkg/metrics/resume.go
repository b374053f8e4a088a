package metrics

import "slices"

// resume sets aside what a person has looked at before saying "go on": every score of harm begins anew at 1. So the next
// Fail needs the whole evidence again, of intervals after the resume, and each resume is worth FalseRollback at most. What
// was shown of bounds stays, since it was shown.
//
// Where nobody is left to compare with, what the person has seen is tolerated like the past from now on, and what comes
// later did not begin with the step's write: it asks a person again, and takes nothing back.
func (s score) resume() score {
	if s.Onset != nil {
		for _, seen := range []*incident{{New: s.Onset.sum()}, s.Incident} {
			if seen != nil && seen.New.share() > s.Accepted.share() {
				s.Accepted = seen.New
			}
		}
		s.Onset = &onset{Before: s.Lately, Held: s.LatelyOld, Unchanged: s.Onset.Unchanged, Late: true}
	}
	s.Errors, s.Floor, s.Ladder, s.Anew = newEvidence(), newMixture(), newLadder(), true
	s.Incident, s.Spell, s.Spells = nil, spells{}, spells{}
	if s.Veto != nil {
		veto := newMixture().start(1)
		s.Veto = &veto
	}
	s.Latency = slices.Clone(s.Latency)
	for i := range s.Latency {
		s.Latency[i].Score = newEvidence()
	}
	if s.Success != nil {
		s.Success = s.Success.anew()
	}
	if s.Slow != nil {
		s.Slow = s.Slow.anew()
	}
	return s
}
