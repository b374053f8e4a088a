package v1alpha1

// FaultInjection answers some requests with an error or makes them wait.
type FaultInjection struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec FaultInjectionSpec `json:"spec" jsonschema:"required"`
}

// FaultInjectionSpec is a fault with its share and the time after which it is taken out again; at least one of abort and
// delay is set.
type FaultInjectionSpec struct {
	// Target is what the policy acts on: a service, a host, or a gateway with its host.
	Target Target `json:"target" jsonschema:"required"`
	// Abort answers instead of the service.
	Abort *FaultAbort `json:"abort,omitempty"`
	// Delay makes requests wait before they are sent.
	Delay *FaultDelay `json:"delay,omitempty"`
	// Expires is the time after which the fault is removed; the rollout stays Progressing until then. Example: 10m.
	Expires Duration `json:"expires" jsonschema:"required,minimum=1s,maximum=168h,example=10m"`
}

// FaultAbort answers with a status; exactly one of httpStatus and grpcStatus.
type FaultAbort struct {
	// HTTPStatus is the status of the answer. Example: 503.
	HTTPStatus *int32 `json:"httpStatus,omitempty" jsonschema:"minimum=200,maximum=599,example=503"`
	// GRPCStatus is the name of a gRPC status in capitals. Example: UNAVAILABLE.
	GRPCStatus string `json:"grpcStatus,omitempty" jsonschema:"format=grpc-status,example=UNAVAILABLE"`
	// Percentage is the share of the requests that are answered so. Example: 5.
	Percentage Percent `json:"percentage" jsonschema:"required,minimum=0.0001,maximum=100,example=5"`
}

// FaultDelay makes a request wait.
type FaultDelay struct {
	// Duration is the time a request waits. Example: 200ms.
	Duration Duration `json:"duration" jsonschema:"required,minimum=1ms,maximum=1h,example=200ms"`
	// Percentage is the share of the requests that wait. Example: 5.
	Percentage Percent `json:"percentage" jsonschema:"required,minimum=0.0001,maximum=100,example=5"`
}

// PolicyTarget returns the policy's target.
func (p *FaultInjection) PolicyTarget() *Target { return &p.Spec.Target }
