package v1alpha1

import "time"

// The defaults of a Rollout, from JUDGE.md section 3.
const (
	DefaultBake       = 5 * time.Minute
	DefaultDirectBake = 2 * time.Minute
	DefaultFold       = 1 * time.Minute
	DefaultDeadline   = 2 * time.Hour
	DefaultOnFailure  = "rollback"
)

// The defaults of a canary's steps. WideWeight is the least weight at which a proof proves much.
const (
	DefaultStepMin     = 1 * time.Minute
	DefaultStepMinWide = 2 * time.Minute
	DefaultStepMax     = 10 * time.Minute
	DefaultProofMax    = 20 * time.Minute
	DefaultBakeWeight  = Percent(95)
	WideWeight         = Percent(25)
)

// The defaults of the analysis.
const (
	DefaultFalseRollback    = 0.01
	DefaultPassMargin       = 2.0
	DefaultPassMarginMax    = 10.0
	DefaultLatencyMargin    = 1.2
	DefaultLatencyMarginMax = 1.5
	DefaultMinRequests      = int32(20)
	DefaultTick             = 15 * time.Second
	DefaultOnInconclusive   = "wait"
	DefaultOnNoData         = "wait"
	DefaultTripwireAction   = "rollback"
	DefaultStep0Min         = 2 * time.Minute
	DefaultStep0Max         = 5 * time.Minute
	DefaultStep0MinRequests = int32(200)
	DefaultStep0Weight      = Percent(50)
)

// The defaults of the strategies that come later.
const (
	DefaultKeepOld    = 5 * time.Minute
	DefaultBatch      = Percent(25)
	DefaultRollingBy  = "instance"
	DefaultABDuration = 30 * time.Minute
	DefaultABThen     = "ask"
)

// DefaultWeightsByRequest are the weights of a canary by request that names none.
func DefaultWeightsByRequest() []Percent { return []Percent{1, 5, 25, 50} }

// DefaultWeightsByInstance are the weights of a canary by instance that names none: 1 % is one pod up to 100 of them.
func DefaultWeightsByInstance() []Percent { return []Percent{1, 25, 50} }

// DefaultRolloutSpec fills in what a Rollout leaves out. The canary's by and steps stay open: they depend on the
// policies, so strategy.Plan chooses them.
func DefaultRolloutSpec(in RolloutSpec) RolloutSpec {
	out := in
	out.Bake = durationOr(in.Bake, DefaultBake)
	if in.Strategy.Direct != nil {
		out.Bake = durationOr(in.Bake, DefaultDirectBake)
	}
	out.OnFailure = textOr(in.OnFailure, DefaultOnFailure)
	out.Deadline = durationOr(in.Deadline, DefaultDeadline)
	out.Strategy = defaultStrategy(in.Strategy)
	out.Analysis = DefaultAnalysis(in.Analysis)
	return out
}

// DefaultAnalysis fills in what an Analysis leaves out. An SLO has no default: without one a service is judged against
// its own old policy.
func DefaultAnalysis(in Analysis) Analysis {
	out := in
	out.FalseRollback = valueOr(in.FalseRollback, DefaultFalseRollback)
	out.PassMargin = valueOr(in.PassMargin, DefaultPassMargin)
	out.PassMarginMax = valueOr(in.PassMarginMax, DefaultPassMarginMax)
	out.LatencyMargin = valueOr(in.LatencyMargin, DefaultLatencyMargin)
	out.LatencyMarginMax = valueOr(in.LatencyMarginMax, DefaultLatencyMarginMax)
	out.MinRequests = valueOr(in.MinRequests, DefaultMinRequests)
	out.Tick = durationOr(in.Tick, DefaultTick)
	out.OnInconclusive = textOr(in.OnInconclusive, DefaultOnInconclusive)
	out.OnNoData = textOr(in.OnNoData, DefaultOnNoData)
	out.Step0 = defaultStep0(in.Step0)
	out.Tripwire = &Tripwire{Action: DefaultTripwireAction}
	if in.Tripwire != nil {
		out.Tripwire.Action = textOr(in.Tripwire.Action, DefaultTripwireAction)
	}
	return out
}

func defaultStep0(in *Step0) *Step0 {
	var out Step0
	if in != nil {
		out = *in
	}
	least := DefaultStep0Min
	if out.Max != nil {
		least = min(least, out.Max.Duration)
	}
	out.Min = durationOr(out.Min, least)
	out.Max = durationOr(out.Max, max(DefaultStep0Max, out.Min.Duration))
	out.MinRequests = valueOr(out.MinRequests, DefaultStep0MinRequests)
	return &out
}

func defaultStrategy(in Strategy) Strategy {
	out := in
	if in.BlueGreen != nil {
		b := *in.BlueGreen
		b.KeepOld = durationOr(b.KeepOld, DefaultKeepOld)
		out.BlueGreen = &b
	}
	if in.Rolling != nil {
		r := *in.Rolling
		r.Batch, r.By = valueOr(r.Batch, DefaultBatch), textOr(r.By, DefaultRollingBy)
		out.Rolling = &r
	}
	if in.AB != nil {
		a := *in.AB
		a.Duration, a.Then = durationOr(a.Duration, DefaultABDuration), textOr(a.Then, DefaultABThen)
		out.AB = &a
	}
	return out
}

func durationOr(d *Duration, or time.Duration) *Duration {
	if d != nil {
		return d
	}
	return &Duration{Duration: or}
}

func valueOr[T any](v *T, or T) *T {
	if v != nil {
		return v
	}
	return &or
}

func textOr(s, or string) string {
	if s != "" {
		return s
	}
	return or
}
