package v1alpha1

// CircuitBreaker limits connections and requests to a service and ejects its failing endpoints.
type CircuitBreaker struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec CircuitBreakerSpec `json:"spec" jsonschema:"required"`
}

// CircuitBreakerSpec has at least one limit besides the target. Limits are absolute per client proxy and service, which
// is why a change of them is canaried by instance: a share of the requests proves nothing about a pool.
// A limit that is left out stays as it is in the mesh.
type CircuitBreakerSpec struct {
	// Target is what the policy acts on: a service or a host.
	Target Target `json:"target" jsonschema:"required"`
	// MaxConnections is the number of TCP connections of one client proxy to the service. Example: 100.
	MaxConnections *int32 `json:"maxConnections,omitempty" jsonschema:"minimum=1,example=100"`
	// MaxPendingRequests is the number of requests that may wait for a connection. Example: 50.
	MaxPendingRequests *int32 `json:"maxPendingRequests,omitempty" jsonschema:"minimum=1,example=50"`
	// MaxRequests is the number of requests in flight (Istio: http2MaxRequests, which Envoy applies to HTTP/1 too).
	// Example: 200.
	MaxRequests *int32 `json:"maxRequests,omitempty" jsonschema:"minimum=1,example=200"`
	// MaxRequestsPerConnection closes a connection after that many requests; 1 switches keep-alive off.
	MaxRequestsPerConnection *int32 `json:"maxRequestsPerConnection,omitempty" jsonschema:"minimum=1,maximum=536870912"`
	// MaxRetries is the number of retries in flight of one client proxy to the service.
	MaxRetries *int32 `json:"maxRetries,omitempty" jsonschema:"minimum=1"`
	// OutlierDetection ejects endpoints that fail.
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty"`
}

// OutlierDetection ejects an endpoint for a while after it failed several times in a row. Every key has the mesh's own
// default, named below for Istio.
type OutlierDetection struct {
	// ConsecutiveErrors is the number of 5xx answers in a row that eject an endpoint; Istio's default is 5.
	ConsecutiveErrors *int32 `json:"consecutiveErrors,omitempty" jsonschema:"minimum=1,example=5"`
	// Interval is the time between two sweeps; Istio's default is 10s.
	Interval *Duration `json:"interval,omitempty" jsonschema:"minimum=1ms,maximum=1h,example=10s"`
	// BaseEjectionTime times the number of ejections is the length of one; Istio's default is 30s.
	BaseEjectionTime *Duration `json:"baseEjectionTime,omitempty" jsonschema:"minimum=1ms,maximum=24h,example=30s"`
	// MaxEjectionTime caps the length of one ejection (Linkerd only).
	MaxEjectionTime *Duration `json:"maxEjectionTime,omitempty" jsonschema:"minimum=1ms,maximum=24h"`
	// MaxEjectionPercent is the share of endpoints that may be ejected at once; Istio's default is 10.
	MaxEjectionPercent *Percent `json:"maxEjectionPercent,omitempty" jsonschema:"minimum=0,maximum=100,example=50"`
}

// HasPools tells whether the spec has limits that are absolute per proxy: a share of the requests cannot prove them.
func (s CircuitBreakerSpec) HasPools() bool {
	for _, limit := range []*int32{
		s.MaxConnections, s.MaxPendingRequests, s.MaxRequests, s.MaxRequestsPerConnection, s.MaxRetries,
	} {
		if limit != nil {
			return true
		}
	}
	return false
}

// PolicyTarget returns the policy's target.
func (p *CircuitBreaker) PolicyTarget() *Target { return &p.Spec.Target }
