package v1alpha1

// Analysis says what is judged and how strictly. Every key has a default that holds its promise without tuning.
type Analysis struct {
	// SLO is what the service promises; default: the service is judged against its own old policy alone.
	SLO *SLO `json:"slo,omitempty"`
	// Allow is what the policy may refuse by design; default: nothing.
	Allow *Allow `json:"allow,omitempty"`
	// Checks are queries of one's own whose values must stay within limits; default: none.
	Checks []Check `json:"checks,omitempty" jsonschema:"minItems=1,maxItems=16"`
	// FalseRollback is the share of harmless rollouts that may be taken back, whatever the number of looks;
	// default 0.01.
	FalseRollback *float64 `json:"falseRollback,omitempty" jsonschema:"minimum=0.0001,maximum=0.2,default=0.01"`
	// PassMargin is the bound to show before the proof step ends at once: errors of the canary below that many times
	// the stable ones; default 2.
	PassMargin *float64 `json:"passMargin,omitempty" jsonschema:"minimum=1.5,maximum=20,default=2"`
	// PassMarginMax is the weakest bound that is accepted at the end of the proof step; default 10.
	PassMarginMax *float64 `json:"passMarginMax,omitempty" jsonschema:"minimum=1.5,maximum=20,default=10"`
	// LatencyMargin is the same for latency: the canary at most that many times as slow; default 1.2.
	LatencyMargin *float64 `json:"latencyMargin,omitempty" jsonschema:"minimum=1.1,maximum=3,default=1.2"`
	// LatencyMarginMax is the weakest bound on latency that is accepted at the end of the proof step; default 1.5.
	LatencyMarginMax *float64 `json:"latencyMarginMax,omitempty" jsonschema:"minimum=1.1,maximum=3,default=1.5"`
	// MinRequests is the number of requests under the new policy without which a step has no verdict; default 20.
	MinRequests *int32 `json:"minRequests,omitempty" jsonschema:"minimum=1,maximum=1000000,default=20"`
	// Step0 is the comparison of identical halves before anything is exposed.
	Step0 *Step0 `json:"step0,omitempty"`
	// Tripwire finds gross breakage within seconds, on readings of the proxies every second.
	Tripwire *Tripwire `json:"tripwire,omitempty"`
	// Tick is the length of the intervals that are judged; default 15s, never shorter than the scrape interval.
	Tick *Duration `json:"tick,omitempty" jsonschema:"minimum=1s,maximum=5m,default=15s"`
	// OnInconclusive is what happens where the traffic decides nothing: wait (default), rollback, pause or promote.
	OnInconclusive string `json:"onInconclusive,omitempty" jsonschema:"enum=wait,enum=rollback,enum=pause,enum=promote,default=wait"`
	// OnNoData is what happens where there is nothing to judge by: wait (default: 5m after the step's max), rollback, pause or
	// promote.
	OnNoData string `json:"onNoData,omitempty" jsonschema:"enum=wait,enum=rollback,enum=pause,enum=promote,default=wait"`
}

// Check is a PromQL query whose value must stay within limits while the rollout runs. Its limits are absolute: it has no
// share in the error budget.
type Check struct {
	// Name says in verdicts what is checked. Example: orders.
	Name string `json:"name" jsonschema:"required,format=route-name,example=orders"`
	// Query is PromQL that gives one number. $namespace and $service stand for the target, $rev for the rollout's
	// revision, which is in the statPrefix of both sides' routes, and $pods for the client pods of the cohort, as a
	// regular expression on their names (by instance only). Example: sum(rate(orders_total{namespace="$namespace"}[1m])).
	Query string `json:"query" jsonschema:"required,minLength=1,example=sum(rate(orders_total[1m]))"`
	// Min is the least value that is well; default: none.
	Min *float64 `json:"min,omitempty" jsonschema:"example=5"`
	// Max is the greatest value that is well; default: none.
	Max *float64 `json:"max,omitempty" jsonschema:"example=0.3"`
	// Failures is how many intervals in a row the value may be beyond its limits until the rollout is taken back;
	// default 2. 1 takes it back at the first.
	Failures *int32 `json:"failures,omitempty" jsonschema:"minimum=1,maximum=100,default=2"`
}

// DefaultCheckFailures is how many intervals in a row a check may fail where its Failures says nothing.
const DefaultCheckFailures = 2

// SLO is what the service promises.
type SLO struct {
	// SuccessRate is the promised share of good requests in percent. Example: 99.9.
	SuccessRate *Percent `json:"successRate,omitempty" jsonschema:"minimum=1,maximum=100,example=99.9"`
	// Latency is the promised latency.
	Latency *LatencySLO `json:"latency,omitempty"`
}

// LatencySLO is a percentile with its longest value.
type LatencySLO struct {
	// P is the percentile. Example: 99.
	P Percent `json:"p" jsonschema:"required,minimum=1,maximum=99.99,example=99"`
	// Max is the longest time that P percent of the requests may take. Example: 300ms.
	Max Duration `json:"max" jsonschema:"required,minimum=1ms,maximum=1h,example=300ms"`
}

// Allow is what the policy may refuse by design.
type Allow struct {
	// Refused is the share of requests in percent that the policy may refuse (429, its own 403, UT, UO, FI); default 0.
	Refused *Percent `json:"refused,omitempty" jsonschema:"minimum=0,maximum=100,example=0.5"`
}

// Tripwire finds gross breakage within seconds, where the proxies may be read directly (the right to get pods/proxy).
// It watches steps of at most 50 % and has a tenth of falseRollback.
type Tripwire struct {
	// Action is what it does by request: rollback (default), pause, or none to turn it off. By instance it only pauses.
	Action string `json:"action,omitempty" jsonschema:"enum=rollback,enum=pause,enum=none,default=rollback"`
}

// Step0 is the comparison of identical halves before anything is exposed.
type Step0 struct {
	// Min is the least time of the comparison; default 2m.
	Min *Duration `json:"min,omitempty" jsonschema:"minimum=0s,maximum=1h,default=2m"`
	// Max is the longest time of the comparison; default 5m.
	Max *Duration `json:"max,omitempty" jsonschema:"minimum=1s,maximum=24h,default=5m"`
	// MinRequests is the number of requests that each half must have had; default 200.
	MinRequests *int32 `json:"minRequests,omitempty" jsonschema:"minimum=1,maximum=1000000,default=200"`
}
