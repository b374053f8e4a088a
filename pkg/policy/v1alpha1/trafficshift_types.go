package v1alpha1

// TrafficShift divides the requests to a service among backends.
type TrafficShift struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec TrafficShiftSpec `json:"spec" jsonschema:"required"`
}

// TrafficShiftSpec lists the backends with their weights.
type TrafficShiftSpec struct {
	// Target is what the policy acts on: a service, or a gateway with its host.
	Target Target `json:"target" jsonschema:"required"`
	// Backends share the requests in proportion to their weights.
	Backends []Backend `json:"backends" jsonschema:"required,minItems=1,maxItems=32"`
}

// Backend is a Service, or pods of the target's Service by label, with a weight; exactly one of service and labels.
type Backend struct {
	// Service is the name of a Service in the policy's namespace.
	Service string `json:"service,omitempty" jsonschema:"format=dns-label,example=cart-v2"`
	// Labels select pods of the target's Service. Example: {version: v2}.
	Labels map[string]string `json:"labels,omitempty" jsonschema:"minProperties=1,format=labels"`
	// Weight is the part of this backend in the sum of all weights. Example: 90.
	Weight int32 `json:"weight" jsonschema:"required,minimum=0,maximum=1000000,example=90"`
}

// PolicyTarget returns the policy's target.
func (p *TrafficShift) PolicyTarget() *Target { return &p.Spec.Target }
