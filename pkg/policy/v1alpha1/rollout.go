package v1alpha1

// Rollout says how policies come into force.
type Rollout struct {
	Header `json:",inline"`
	// Spec is what the rollout does.
	Spec RolloutSpec `json:"spec" jsonschema:"required"`
}

// RolloutSpec names policies, a strategy, and what is judged on the way.
type RolloutSpec struct {
	// Policies are the policies to roll out; default: all of the file set. Policies of one target move as one.
	Policies []PolicyRef `json:"policies,omitempty" jsonschema:"minItems=1"`
	// Strategy has exactly one of its fields set.
	Strategy Strategy `json:"strategy" jsonschema:"required"`
	// Analysis says what is judged.
	Analysis Analysis `json:"analysis,omitempty"`
	// Bake is the time at 95 % with 5 % held back on the old policy; default 5m (direct: 2m, everything at once).
	Bake *Duration `json:"bake,omitempty" jsonschema:"minimum=1s,maximum=24h,example=5m"`
	// OnFailure is what a Fail does: rollback (default) or pause.
	OnFailure string `json:"onFailure,omitempty" jsonschema:"enum=rollback,enum=pause,default=rollback"`
	// Deadline is the time from the start, pauses included, after which a rollout that is not at its end is taken back;
	// default 2h.
	Deadline *Duration `json:"deadline,omitempty" jsonschema:"minimum=1m,maximum=168h,default=2h"`
}

// PolicyRef names a policy of the file set.
type PolicyRef struct {
	// Kind is the policy's kind. Example: Timeout.
	Kind string `json:"kind" jsonschema:"required,enum=CircuitBreaker,enum=RateLimit,enum=Retry,enum=Timeout,enum=TrafficShift,enum=MutualTLS,enum=Authorization,enum=FaultInjection"`
	// Name is the policy's name. Example: cart-timeout.
	Name string `json:"name" jsonschema:"required,format=dns-label,example=cart-timeout"`
	// Namespace is the policy's namespace; default: the Rollout's.
	Namespace string `json:"namespace,omitempty" jsonschema:"format=dns-label,example=shop"`
}

// Strategy has exactly one field set.
type Strategy struct {
	// Canary widens the share under the new policy step by step.
	Canary *Canary `json:"canary,omitempty"`
	// BlueGreen installs both policies and switches with one write.
	BlueGreen *BlueGreen `json:"blueGreen,omitempty"`
	// Rolling moves batch by batch.
	Rolling *Rolling `json:"rolling,omitempty"`
	// AB gives the new policy to a chosen population for a time.
	AB *AB `json:"ab,omitempty"`
	// Direct moves everything at once; still verified and judged.
	Direct *Direct `json:"direct,omitempty"`
}

// Canary widens the share of the traffic that is under the new policy step by step.
type Canary struct {
	// By is request (a random share of the requests) or instance (a share of the pods, each with all of its traffic);
	// default: instance for CircuitBreaker pools and the server side of MutualTLS, request otherwise.
	By string `json:"by,omitempty" jsonschema:"enum=request,enum=instance"`
	// Steps are the steps in order; default: 1, 5, 25, 50 % by request; one pod, 25, 50 % by instance.
	Steps []CanaryStep `json:"steps,omitempty" jsonschema:"minItems=1,maxItems=32"`
	// StepWeights is the short form of steps; excludes steps. Example: [1, 5, 25, 50].
	StepWeights []Percent `json:"stepWeights,omitempty" jsonschema:"minItems=1,maxItems=32,minimum=0.1,maximum=100"`
}

// CanaryStep sets a weight or pauses; exactly one of setWeight and pause.
type CanaryStep struct {
	// SetWeight is the share in percent, growing from step to step; by instance it is rounded up to whole pods.
	SetWeight *Percent `json:"setWeight,omitempty" jsonschema:"minimum=0.1,maximum=100,example=25"`
	// Min is the least time at this weight; default: 1m below 25 %, 2m from there on.
	Min *Duration `json:"min,omitempty" jsonschema:"minimum=0s,maximum=24h,example=1m"`
	// Max is the longest time to wait for a verdict at this weight; default: 20m for the last step, 10m for the others.
	Max *Duration `json:"max,omitempty" jsonschema:"minimum=1s,maximum=24h,example=10m"`
	// Pause waits: for its duration, or without one until somebody promotes.
	Pause *Pause `json:"pause,omitempty"`
}

// Pause is a wait before the next step.
type Pause struct {
	// Duration is the length of the wait; default: until somebody promotes. Example: 10m.
	Duration *Duration `json:"duration,omitempty" jsonschema:"minimum=1s,maximum=168h,example=10m"`
}

// BlueGreen installs both policies and switches with one write. It comes in a later release.
type BlueGreen struct {
	// Preview shows the new policy to some requests before the switch; default: to none.
	Preview *Preview `json:"preview,omitempty"`
	// KeepOld is the time the old policy stays installed after the switch; default 5m.
	KeepOld *Duration `json:"keepOld,omitempty" jsonschema:"minimum=0s,maximum=24h,default=5m"`
}

// Preview shows the new policy to requests that bear a header.
type Preview struct {
	// Header is the name of the header; any value of it counts. Example: x-meshpol-preview.
	Header string `json:"header" jsonschema:"required,format=header,example=x-meshpol-preview"`
}

// Rolling moves batch by batch. It comes in a later release.
type Rolling struct {
	// Batch is the share of each batch in percent; default 25.
	Batch *Percent `json:"batch,omitempty" jsonschema:"minimum=0.1,maximum=100,example=25"`
	// By is what a batch consists of: instance (default), workload or namespace.
	By string `json:"by,omitempty" jsonschema:"enum=instance,enum=workload,enum=namespace,default=instance"`
}

// AB gives the new policy to a chosen population for a time. It comes in a later release.
type AB struct {
	// Match are alternatives: a request is in the population where one of them matches.
	Match []ABMatch `json:"match" jsonschema:"required,minItems=1,maxItems=16"`
	// Duration is the length of the comparison; default 30m.
	Duration *Duration `json:"duration,omitempty" jsonschema:"minimum=1m,maximum=168h,default=30m"`
	// Then is what follows: promote, rollback or ask (default).
	Then string `json:"then,omitempty" jsonschema:"enum=promote,enum=rollback,enum=ask,default=ask"`
}

// ABMatch is a header, a cookie or a source; exactly one.
type ABMatch struct {
	// Header is a request header with its exact value.
	Header *NameValue `json:"header,omitempty"`
	// Cookie is a cookie with its exact value.
	Cookie *NameValue `json:"cookie,omitempty"`
	// Source are labels of the calling pods. Example: {app: mobile}.
	Source map[string]string `json:"source,omitempty" jsonschema:"minProperties=1,format=labels"`
}

// NameValue is a name with the exact value it must have.
type NameValue struct {
	// Name is the name of the header or cookie.
	Name string `json:"name" jsonschema:"required,format=header,example=x-beta"`
	// Value is the exact value.
	Value string `json:"value" jsonschema:"required,minLength=1,example=yes"`
}

// Direct moves everything at once; still verified and judged.
type Direct struct{}
