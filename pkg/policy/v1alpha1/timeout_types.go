package v1alpha1

// Timeout ends a request that takes too long.
type Timeout struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec TimeoutSpec `json:"spec" jsonschema:"required"`
}

// TimeoutSpec says after how long; at least one of request and idle is set.
type TimeoutSpec struct {
	// Target is what the policy acts on: a service, a host, or a gateway with its host.
	Target Target `json:"target" jsonschema:"required"`
	// Request is the time a request may take, retries included; 0s switches the timeout off. Example: 1.5s.
	Request *Duration `json:"request,omitempty" jsonschema:"minimum=0s,maximum=24h,example=1.5s"`
	// Idle is the time a stream may be silent (Linkerd only). Example: 30s.
	Idle *Duration `json:"idle,omitempty" jsonschema:"minimum=0s,maximum=24h,example=30s"`
}

// PolicyTarget returns the policy's target.
func (p *Timeout) PolicyTarget() *Target { return &p.Spec.Target }
