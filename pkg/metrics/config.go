package metrics

import (
	"errors"
	"fmt"
	"time"
)

// JudgeConfig holds the numbers of a judge. Shares are 0 to 1. DefaultJudgeConfig gives JUDGE.md's defaults.
type JudgeConfig struct {
	// FalseRollback is the chance of taking back a harmless policy in a whole rollout, however often one looks.
	FalseRollback float64
	// ErrorTolerance is the ratio of error rates, new against old, that is still no harm.
	ErrorTolerance float64
	// ErrorFloor is the error rate of the new side below which nobody cares: 1 - the SLO's success rate, if there is one.
	// 0 takes it from the old policy's errors (the function ErrorFloor).
	ErrorFloor float64
	// LatencyTolerance is the growth of latency that is still no harm: 0.1 is 10 %. 0 turns the comparison off.
	LatencyTolerance float64
	// AllowRefused is the share of requests that the policy may refuse by design (JUDGE.md section 6): so much of
	// Counts.Refused, in a token bucket on the new side alone, is not counted as an error. 0 allows none.
	AllowRefused float64
	// ErrorWeight, LatencyWeight and ObjectiveWeight share FalseRollback between the metrics; what is missing is spread over
	// the others before step 1.
	ErrorWeight, LatencyWeight, ObjectiveWeight float64
	// SuccessTarget is the promised share of good requests, 0 to 1; 0 is none. LatencyObjective promises latency.
	SuccessTarget    float64
	LatencyObjective LatencyObjective
	// BurnFail and BurnHold are the burn rates B of ANALYSIS.md section 6: the first is harm, the second holds.
	BurnFail, BurnHold float64
	// RollbackOnShared takes an absolute objective's word also where the old side burns as fast.
	RollbackOnShared bool
	// SilentFails makes a silent canary a Fail, for policies that may cut traffic off (Authorization, MutualTLS);
	// otherwise it holds.
	SilentFails bool
	// History is what the old policy did before the rollout. It may be empty.
	History History

	// Hold is the score from which a step is suspicious and does not advance; SuspicionMax is how many times its Max a
	// suspicious step may last.
	Hold, SuspicionMax float64
	// PassMargin is the bound a proof aims at, PassMarginMax the one it accepts at the step's Max. PassConfidence is 0.95.
	PassMargin, PassMarginMax, PassConfidence float64
	// LatencyMargin and LatencyMarginMax are the same for latency: so many times as slow.
	LatencyMargin, LatencyMarginMax float64
	// Clumping is φ where no history says it: how much more errors clump than independent ones would; it deflates the
	// bound. The rollout's own ticks may raise it.
	Clumping float64

	// MinRequests is the least number of requests where the step names none; StageMinRequests the same at step 0, per half.
	MinRequests, StageMinRequests float64
	// StageScore is the score at which identical halves differ grossly.
	StageScore float64
	// ShareTolerance is the relative deviation of the share that needs no notice. A share of more than ShareMost or less
	// than ShareLeast times the one asked for ends the rollout.
	ShareTolerance, ShareMost, ShareLeast float64

	// BakeTolerance is the ratio to the history that the bake tolerates before it looks at the holdback.
	BakeTolerance float64
	// BareTolerance is the same where no holdback is left (the fold, direct): a Fail there pauses, unless at least
	// GrossErrors of the requests fail. With a comparison, a step does not advance while that many fail and GrossRatio
	// times as many as on the old side, even where a single pod is behind it and the score is low.
	BareTolerance, GrossErrors, GrossRatio float64
	// Amplification is how many times as many attempts per request as the old side the new one may send: what is above
	// holds a step back, since retries that pile up do no harm until they do it to everybody.
	Amplification float64

	// Tick is the least time that is scored at once: errors of one sick pod are one observation in it. Scrape is the
	// source's interval between samples.
	Tick, Scrape time.Duration
	// Grace is how long samples may be too old (more than 3 scrapes, at least StaleAfter) until the verdict is NoData.
	StaleAfter, Grace time.Duration
	// QueryErrors is the number of failed readings in a row until the verdict is NoData.
	QueryErrors int
	// Source names where the numbers come from, for verdicts that say what is wrong with it.
	Source string
	// Steps and PlannedTicks are the size of the plan without step 0. They spread the weight of "harm begins now".
	Steps, PlannedTicks int
}

// DefaultJudgeConfig gives the defaults of JUDGE.md section 3 and ANALYSIS.md section 10.
func DefaultJudgeConfig() JudgeConfig {
	return JudgeConfig{
		FalseRollback: 0.009, ErrorTolerance: 1.10, LatencyTolerance: 0.10,
		ErrorWeight: 0.5, LatencyWeight: 0.25, ObjectiveWeight: 0.25, BurnFail: 14.4, BurnHold: 1,
		Hold: 3, SuspicionMax: 3, PassMargin: 2, PassMarginMax: 10, PassConfidence: 0.95, Clumping: unknownClumping,
		LatencyMargin: 1.2, LatencyMarginMax: 1.5,
		MinRequests: 20, StageMinRequests: 200, StageScore: 400, ShareTolerance: 0.05, ShareMost: 1.2, ShareLeast: 0.5,
		BakeTolerance: 1.5, BareTolerance: 2, GrossErrors: 0.05, GrossRatio: 3, Amplification: 1.5,
		Tick: 15 * time.Second, Scrape: 15 * time.Second, StaleAfter: 45 * time.Second, Grace: 30 * time.Second,
		QueryErrors: 4, Steps: 6, PlannedTicks: 240,
	}
}

// Validate names the first number that makes no sense.
func (c JudgeConfig) Validate() error {
	for _, check := range append(c.harmChecks(), c.stepChecks()...) {
		if !check.ok {
			return fmt.Errorf("analysis: %w", errors.New(check.text))
		}
	}
	return nil
}

// limitCheck is a condition on the numbers, with what is wrong where it does not hold.
type limitCheck struct {
	ok   bool
	text string
}

func properShare(v float64) bool { return v > 0 && v < 1 }

// harmChecks are about what is harm.
func (c JudgeConfig) harmChecks() []limitCheck {
	return []limitCheck{
		{properShare(c.FalseRollback), "falseRollback must lie between 0 and 1"},
		{c.ErrorTolerance >= 1, "errorTolerance must be at least 1"},
		{c.ErrorFloor >= 0 && c.ErrorFloor < 1, "the error floor must lie between 0 and 1"},
		{c.LatencyTolerance >= 0, "latencyTolerance must not be negative"},
		{c.AllowRefused >= 0 && c.AllowRefused < 1, "allow.refused must lie between 0 and 100 %"},
		{c.ErrorWeight > 0 && c.LatencyWeight >= 0 && c.ObjectiveWeight >= 0, "the weights of the metrics must be positive"},
		{c.Hold > 1 && c.SuspicionMax >= 1, "hold must be above 1"},
		{c.PassMargin > 1 && c.PassMarginMax >= c.PassMargin, "passMargin must be above 1 and not above passMarginMax"},
	}
}

// stepChecks are about what a step must show, and when it is looked at.
func (c JudgeConfig) stepChecks() []limitCheck {
	return []limitCheck{
		{properShare(c.PassConfidence), "the confidence of the bound must lie between 0 and 1"},
		{c.SuccessTarget >= 0 && c.SuccessTarget < 1 && c.LatencyObjective.Target >= 0 && c.LatencyObjective.Target < 1, "an objective must lie between 0 and 100 %"},
		{c.BurnFail >= c.BurnHold && c.BurnHold > 0, "the burn rates must be positive"},
		{c.LatencyMargin > 1 && c.LatencyMarginMax >= c.LatencyMargin, "latencyMargin must be above 1 and not above latencyMarginMax"},
		{c.BakeTolerance >= 1 && c.BareTolerance >= 1 && properShare(c.GrossErrors), "the tolerances to the past must be at least 1"},
		{c.Amplification > 1, "the amplification must be above 1"},
		{c.Clumping >= 1, "the clumping must be at least 1"},
		{c.StageScore > 1 && c.ShareTolerance > 0 && c.ShareMost > 1 && c.ShareLeast < 1, "the limits of step 0 must be positive"},
		{c.Tick > 0 && c.Scrape > 0 && c.StaleAfter > 0 && c.Grace >= 0, "tick and scrape interval must be positive"},
		{c.Steps > 0 && c.PlannedTicks > 0 && c.QueryErrors > 0, "the plan must have steps and ticks"},
	}
}

// staleAfter is how old the newest sample may be: three scrapes, at least StaleAfter.
func (c JudgeConfig) staleAfter() time.Duration { return max(3*c.Scrape, c.StaleAfter) }

// need is the least number of requests of a side in a step.
func (c JudgeConfig) need(step JudgeStep) float64 {
	switch {
	case step.MinRequests > 0:
		return step.MinRequests
	case step.Kind == StepStage:
		return c.StageMinRequests
	default:
		return c.MinRequests
	}
}
