package metrics

import "time"

// Course is one rollout before a judge that stays in memory. Its verdicts are those of Judge.Step, without the saved
// form of the score, which costs more than the judging; simulations want nothing else.
type Course interface {
	// Step takes one tick of the step into the score and says what the judge thinks now.
	Step(step JudgeStep, tick Tick, now time.Time) Judgement
}

// Begin is the course of a new rollout before a judge.
func Begin(j Judge) Course {
	if s, ok := j.(SequentialJudge); ok {
		return &unsaved{judge: s, score: newScore(s.past)}
	}
	return &saved{judge: j}
}

// saved is the course before a judge that knows no other way than its states.
type saved struct {
	judge Judge
	state State
}

// Step implements Course.
func (c *saved) Step(step JudgeStep, tick Tick, now time.Time) (j Judgement) {
	c.state, j = c.judge.Step(c.state, step, tick, now)
	return j
}

// unsaved is the course before a SequentialJudge.
type unsaved struct {
	judge SequentialJudge
	state State
	score score
}

// Step implements Course.
func (c *unsaved) Step(step JudgeStep, tick Tick, now time.Time) (j Judgement) {
	c.score, c.state = c.score.enter(c.state, step)
	c.score, c.state, j = c.judge.advance(c.score, c.state, step, tick, now)
	return j
}
