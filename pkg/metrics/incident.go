package metrics

// An incident that hits both sides alike is no harm of the policy (JUDGE.md section 2). While it lasts nothing can be said
// of the policy, so no step passes; when it is over it is forgotten, and the rollout goes on.

// burntLeast is how many errors a side must have in an interval before it is taken to burn its objective.
const burntLeast = 5

// strikes tells whether in an interval both sides failed grossly, and the old one far more than before.
func (j SequentialJudge) strikes(s score, step JudgeStep, c, o half) bool {
	before := s.before(j.Config.Clumping)
	if step.Kind == StepStage || step.bare() || before.Requests <= 0 {
		return false
	}
	return fails(c, j.Config.GrossErrors) && fails(o, j.Config.GrossErrors) && o.X*before.Requests > j.Config.GrossRatio*before.Errors*o.N
}

// burns tells whether in an interval both sides burnt an objective so fast that it would be harm.
func (j SequentialJudge) burns(s score, step JudgeStep, c, o half) bool {
	if j.Config.SuccessTarget <= 0 || j.Config.RollbackOnShared || step.Kind == StepStage || step.bare() {
		return false
	}
	if s.chronic(j.Config) {
		return false
	}
	limit := min(0.99, j.Config.BurnFail*(1-j.Config.SuccessTarget))
	return c.X >= burntLeast && o.X >= burntLeast && fails(c, limit) && fails(o, limit)
}

func fails(h half, share float64) bool { return h.N > 0 && h.X >= share*h.N }

// noteIncident remembers an interval in which both sides failed. What the old side does in one that struck is not what
// the old policy usually does, so it is no part of the history.
func (j SequentialJudge) noteIncident(s score, step JudgeStep, c, o half) (score, bool) {
	struck := j.strikes(s, step, c, o)
	s.Incident = nil
	if struck || j.burns(s, step, c, o) {
		s.Incident = []half{{N: c.N, X: c.X}, {N: o.N, X: o.X}}
	}
	if struck && step.Kind != StepBake {
		s.Own.Requests, s.Own.Errors = max(0, s.Own.Requests-o.N), max(0, s.Own.Errors-o.X)
	}
	return s, struck
}

// incident says that both sides fail in the last interval; empty where they do not.
func (l look) incident() string {
	if len(l.s.Incident) != 2 {
		return ""
	}
	return "shared incident, the old side is as bad: " + compare("errors", l.s.Incident[0], l.s.Incident[1], "") + " in the last interval"
}
