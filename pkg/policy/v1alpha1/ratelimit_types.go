package v1alpha1

// RateLimit limits the requests that one instance of a workload accepts.
type RateLimit struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec RateLimitSpec `json:"spec" jsonschema:"required"`
}

// RateLimitSpec has a limit, a limit per client, or both. Every limit is counted per instance: three pods with a limit
// of 100 accept 300 together.
type RateLimitSpec struct {
	// Target is what the policy acts on: a service, a workload or a gateway with its host.
	Target Target `json:"target" jsonschema:"required"`
	// Limit is for all clients of an instance together.
	Limit *RateLimitQuota `json:"limit,omitempty"`
	// Burst is the number of requests that may come at once; default: limit.requests.
	Burst *int32 `json:"burst,omitempty" jsonschema:"minimum=1,example=200"`
	// PerClient is for each client (service account) of an instance.
	PerClient *RateLimitQuota `json:"perClient,omitempty"`
	// Overrides give some clients a limit of their own.
	Overrides []RateLimitOverride `json:"overrides,omitempty" jsonschema:"minItems=1,maxItems=64"`
}

// RateLimitQuota is a number of requests per length of time.
type RateLimitQuota struct {
	// Requests is the number of requests that are accepted in each length of time. Example: 100.
	Requests int32 `json:"requests" jsonschema:"required,minimum=1,example=100"`
	// Per is the length of time. Example: 1s.
	Per Duration `json:"per" jsonschema:"required,minimum=1s,maximum=24h,example=1s"`
}

// RateLimitOverride gives some clients a limit of their own.
type RateLimitOverride struct {
	// Clients are service accounts, "name" in the policy's namespace or "namespace/name".
	Clients []string `json:"clients" jsonschema:"required,minItems=1,format=service-account,example=shop/mobile"`
	// Limit is what these clients may send to an instance.
	Limit RateLimitQuota `json:"limit" jsonschema:"required"`
}

// PolicyTarget returns the policy's target.
func (p *RateLimit) PolicyTarget() *Target { return &p.Spec.Target }
