package v1alpha1

// Rollout says how policies come into force.
type Rollout struct {
	Header `json:",inline"`
	Spec   RolloutSpec `json:"spec"`
}

// RolloutSpec names policies, a strategy, and what is judged on the way.
type RolloutSpec struct {
	// Policies are the policies to roll out; default: all of the file set. Policies of one target move as one.
	Policies []PolicyRef `json:"policies,omitempty"`
	// Strategy has exactly one of its fields set.
	Strategy Strategy `json:"strategy"`
	// Analysis says what is judged.
	Analysis Analysis `json:"analysis,omitempty"`
	// Bake is the time at 95 % with 5 % held back on the old policy; default 5m (direct: 2m).
	Bake *Duration `json:"bake,omitempty"`
	// OnFailure is what a Fail does: rollback (default) or pause.
	OnFailure string `json:"onFailure,omitempty"`
	// Deadline is the time after which an ownerless rollout is taken back; default 2h.
	Deadline *Duration `json:"deadline,omitempty"`
}

// PolicyRef names a policy of the file set.
type PolicyRef struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// Strategy has exactly one field set.
type Strategy struct {
	Canary    *Canary    `json:"canary,omitempty"`
	BlueGreen *BlueGreen `json:"blueGreen,omitempty"`
	Rolling   *Rolling   `json:"rolling,omitempty"`
	AB        *AB        `json:"ab,omitempty"`
	Direct    *Direct    `json:"direct,omitempty"`
}

// Canary widens the share of the traffic that is under the new policy step by step.
type Canary struct {
	// By is request (default; instance for CircuitBreaker pools) or instance.
	By string `json:"by,omitempty"`
	// Steps are the steps in order; default: 1, 5, 25, 50 with JUDGE.md's times.
	Steps []CanaryStep `json:"steps,omitempty"`
	// StepWeights is the short form of steps; excludes steps.
	StepWeights []Percent `json:"stepWeights,omitempty"`
}

// CanaryStep sets a weight or pauses.
type CanaryStep struct {
	// SetWeight is the share in percent, 0.1 to 100, growing from step to step.
	SetWeight *Percent `json:"setWeight,omitempty"`
	// Min is the least time at this weight.
	Min *Duration `json:"min,omitempty"`
	// Max is the longest time to wait for a verdict at this weight.
	Max *Duration `json:"max,omitempty"`
	// Pause waits: for its duration, or without one until somebody promotes.
	Pause *Pause `json:"pause,omitempty"`
}

// Pause is a wait between two steps.
type Pause struct {
	Duration *Duration `json:"duration,omitempty"`
}

// BlueGreen installs both policies and switches with one write.
type BlueGreen struct {
	Preview *Preview  `json:"preview,omitempty"`
	KeepOld *Duration `json:"keepOld,omitempty"`
}

// Preview shows the new policy to requests that bear a header.
type Preview struct {
	Header string `json:"header"`
}

// Rolling moves batch by batch.
type Rolling struct {
	Batch *Percent `json:"batch,omitempty"`
	By    string   `json:"by,omitempty"`
}

// AB gives the new policy to a chosen population for a time.
type AB struct {
	Match    []ABMatch `json:"match"`
	Duration *Duration `json:"duration,omitempty"`
	Then     string    `json:"then,omitempty"`
}

// ABMatch is a header, a cookie or a source; exactly one.
type ABMatch struct {
	Header *NameValue        `json:"header,omitempty"`
	Cookie *NameValue        `json:"cookie,omitempty"`
	Source map[string]string `json:"source,omitempty"`
}

// NameValue is a name with the exact value it must have.
type NameValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Direct moves everything at once; still verified and judged.
type Direct struct{}

// Analysis says what is judged and how strictly. Keys and defaults are JUDGE.md's.
type Analysis struct {
	SLO            *SLO      `json:"slo,omitempty"`
	Allow          *Allow    `json:"allow,omitempty"`
	FalseRollback  *float64  `json:"falseRollback,omitempty"`
	PassMargin     *float64  `json:"passMargin,omitempty"`
	PassMarginMax  *float64  `json:"passMarginMax,omitempty"`
	MinRequests    *int32    `json:"minRequests,omitempty"`
	Step0          *Step0    `json:"step0,omitempty"`
	Tick           *Duration `json:"tick,omitempty"`
	OnInconclusive string    `json:"onInconclusive,omitempty"`
	OnNoData       string    `json:"onNoData,omitempty"`
}

// SLO is what the service promises.
type SLO struct {
	// SuccessRate is the promised share of good requests in percent.
	SuccessRate *Percent `json:"successRate,omitempty"`
	// Latency is the promised latency.
	Latency *LatencySLO `json:"latency,omitempty"`
}

// LatencySLO is a percentile with its longest value.
type LatencySLO struct {
	P   Percent  `json:"p"`
	Max Duration `json:"max"`
}

// Allow is what the policy may refuse by design.
type Allow struct {
	// Refused is the share of requests in percent that the policy may refuse (429, its own 403, UT, UO, FI).
	Refused *Percent `json:"refused,omitempty"`
}

// Step0 is the comparison of identical halves before anything is exposed.
type Step0 struct {
	Min         *Duration `json:"min,omitempty"`
	Max         *Duration `json:"max,omitempty"`
	MinRequests *int32    `json:"minRequests,omitempty"`
}
