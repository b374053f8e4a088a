package v1alpha1

// Retry repeats a failed request.
type Retry struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec RetrySpec `json:"spec" jsonschema:"required"`
}

// RetrySpec says how often, for how long and for which failures.
type RetrySpec struct {
	// Target is what the policy acts on: a service, a host, or a gateway with its host.
	Target Target `json:"target" jsonschema:"required"`
	// Attempts is the number of repeats after the first try; 0 switches retries off and excludes the other keys.
	// Example: 2.
	Attempts int32 `json:"attempts" jsonschema:"required,minimum=0,maximum=100,example=2"`
	// PerTryTimeout is the time one try may take; default: the timeout of the whole request. Example: 250ms.
	PerTryTimeout *Duration `json:"perTryTimeout,omitempty" jsonschema:"minimum=0s,maximum=24h,example=250ms"`
	// On lists the failures to repeat, in Envoy's words or as status codes: 5xx, gateway-error, reset,
	// reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, cancelled,
	// deadline-exceeded, internal, resource-exhausted, unavailable, 503. Default: the mesh's own
	// (Istio: connect-failure, refused-stream, unavailable, cancelled, 503).
	On []string `json:"on,omitempty" jsonschema:"minItems=1,format=retry-on,example=connect-failure"`
	// Backoff is the least time between two tries (Istio 1.26 and later); default: the mesh's own (25ms).
	Backoff *Duration `json:"backoff,omitempty" jsonschema:"minimum=1ms,maximum=1h,example=25ms"`
}

// PolicyTarget returns the policy's target.
func (p *Retry) PolicyTarget() *Target { return &p.Spec.Target }
