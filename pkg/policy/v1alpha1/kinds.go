package v1alpha1

// CircuitBreaker limits connections and requests to a service and ejects its failing endpoints.
type CircuitBreaker struct {
	Header `json:",inline"`
	Spec   CircuitBreakerSpec `json:"spec"`
}

// CircuitBreakerSpec is absolute per client proxy and cluster, which is why pools are canaried by instance.
type CircuitBreakerSpec struct {
	Target Target `json:"target"`
	// MaxConnections is the number of TCP connections of one client proxy to the service.
	MaxConnections *int32 `json:"maxConnections,omitempty"`
	// MaxPendingRequests is the number of requests that may wait for a connection.
	MaxPendingRequests *int32 `json:"maxPendingRequests,omitempty"`
	// MaxRequests is the number of requests in flight (Istio: http2MaxRequests, which Envoy applies to HTTP/1 too).
	MaxRequests *int32 `json:"maxRequests,omitempty"`
	// MaxRequestsPerConnection closes a connection after that many requests.
	MaxRequestsPerConnection *int32 `json:"maxRequestsPerConnection,omitempty"`
	// MaxRetries is the number of retries in flight.
	MaxRetries *int32 `json:"maxRetries,omitempty"`
	// OutlierDetection ejects endpoints that fail.
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty"`
}

// OutlierDetection ejects an endpoint for a while after it failed several times in a row.
type OutlierDetection struct {
	// ConsecutiveErrors is the number of 5xx answers in a row that eject an endpoint.
	ConsecutiveErrors *int32 `json:"consecutiveErrors,omitempty"`
	// Interval is the time between two sweeps.
	Interval *Duration `json:"interval,omitempty"`
	// BaseEjectionTime times the number of ejections is the length of one.
	BaseEjectionTime *Duration `json:"baseEjectionTime,omitempty"`
	// MaxEjectionTime caps the length of one ejection (Linkerd only).
	MaxEjectionTime *Duration `json:"maxEjectionTime,omitempty"`
	// MaxEjectionPercent is the share of endpoints that may be ejected at once.
	MaxEjectionPercent *Percent `json:"maxEjectionPercent,omitempty"`
}

// RateLimit limits the requests that one instance of a workload accepts.
type RateLimit struct {
	Header `json:",inline"`
	Spec   RateLimitSpec `json:"spec"`
}

// RateLimitSpec is counted per instance.
type RateLimitSpec struct {
	Target    Target              `json:"target"`
	Limit     *RateLimitQuota     `json:"limit,omitempty"`
	Burst     *int32              `json:"burst,omitempty"`
	PerClient *RateLimitQuota     `json:"perClient,omitempty"`
	Overrides []RateLimitOverride `json:"overrides,omitempty"`
}

// RateLimitQuota is a number of requests per length of time.
type RateLimitQuota struct {
	Requests int32    `json:"requests"`
	Per      Duration `json:"per"`
}

// RateLimitOverride gives some clients a limit of their own.
type RateLimitOverride struct {
	Clients []string       `json:"clients"`
	Limit   RateLimitQuota `json:"limit"`
}

// Retry repeats a failed request.
type Retry struct {
	Header `json:",inline"`
	Spec   RetrySpec `json:"spec"`
}

// RetrySpec says how often, for how long and for which failures.
type RetrySpec struct {
	Target Target `json:"target"`
	// Attempts is the number of repeats after the first try; 0 switches retries off.
	Attempts int32 `json:"attempts"`
	// PerTryTimeout is the time one try may take.
	PerTryTimeout *Duration `json:"perTryTimeout,omitempty"`
	// On lists the failures to repeat, in Envoy's words: 5xx, reset, connect-failure, refused-stream, 503, ….
	On []string `json:"on,omitempty"`
	// Backoff is the least time between two tries (Istio 1.26 and later).
	Backoff *Duration `json:"backoff,omitempty"`
}

// Timeout ends a request that takes too long.
type Timeout struct {
	Header `json:",inline"`
	Spec   TimeoutSpec `json:"spec"`
}

// TimeoutSpec says after how long.
type TimeoutSpec struct {
	Target Target `json:"target"`
	// Request is the time a request may take, retries included; 0s switches the timeout off.
	Request *Duration `json:"request,omitempty"`
	// Idle is the time a stream may be silent (Linkerd only).
	Idle *Duration `json:"idle,omitempty"`
}

// TrafficShift divides the requests to a service among backends.
type TrafficShift struct {
	Header `json:",inline"`
	Spec   TrafficShiftSpec `json:"spec"`
}

// TrafficShiftSpec lists the backends with their weights.
type TrafficShiftSpec struct {
	Target   Target    `json:"target"`
	Backends []Backend `json:"backends"`
}

// Backend is a Service, or pods of the target's Service by label, with a weight.
type Backend struct {
	Service string            `json:"service,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Weight  int32             `json:"weight"`
}

// MutualTLS says what a server accepts or what its clients use.
type MutualTLS struct {
	Header `json:",inline"`
	Spec   MutualTLSSpec `json:"spec"`
}

// MutualTLSSpec has a mode for the server side or a client part.
type MutualTLSSpec struct {
	Target Target           `json:"target"`
	Mode   string           `json:"mode,omitempty"`
	Ports  []int32          `json:"ports,omitempty"`
	Client *MutualTLSClient `json:"client,omitempty"`
}

// MutualTLSClient is what clients of the target use: istio-mutual, simple, mutual or disable.
type MutualTLSClient struct {
	Mode string `json:"mode"`
}

// Authorization allows or denies requests.
type Authorization struct {
	Header `json:",inline"`
	Spec   AuthorizationSpec `json:"spec"`
}

// AuthorizationSpec is an action with the rules it applies to.
type AuthorizationSpec struct {
	Target Target              `json:"target"`
	Action string              `json:"action"`
	Rules  []AuthorizationRule `json:"rules,omitempty"`
}

// AuthorizationRule matches a request by where it comes from and where it goes.
type AuthorizationRule struct {
	From []AuthorizationSource    `json:"from,omitempty"`
	To   []AuthorizationOperation `json:"to,omitempty"`
}

// AuthorizationSource is a set of callers.
type AuthorizationSource struct {
	ServiceAccounts []string `json:"serviceAccounts,omitempty"`
	Namespaces      []string `json:"namespaces,omitempty"`
	CIDRs           []string `json:"cidrs,omitempty"`
}

// AuthorizationOperation is a set of requests.
type AuthorizationOperation struct {
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths,omitempty"`
	Ports   []int32  `json:"ports,omitempty"`
}

// FaultInjection answers some requests with an error or makes them wait.
type FaultInjection struct {
	Header `json:",inline"`
	Spec   FaultInjectionSpec `json:"spec"`
}

// FaultInjectionSpec is a fault with its share and the time after which it is taken out again.
type FaultInjectionSpec struct {
	Target  Target      `json:"target"`
	Abort   *FaultAbort `json:"abort,omitempty"`
	Delay   *FaultDelay `json:"delay,omitempty"`
	Expires Duration    `json:"expires"`
}

// FaultAbort answers with a status.
type FaultAbort struct {
	HTTPStatus *int32  `json:"httpStatus,omitempty"`
	GRPCStatus string  `json:"grpcStatus,omitempty"`
	Percentage Percent `json:"percentage"`
}

// FaultDelay makes a request wait.
type FaultDelay struct {
	Duration   Duration `json:"duration"`
	Percentage Percent  `json:"percentage"`
}

// PolicyTarget returns the policy's target.
func (p *CircuitBreaker) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *RateLimit) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *Retry) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *Timeout) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *TrafficShift) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *MutualTLS) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *Authorization) PolicyTarget() *Target { return &p.Spec.Target }

// PolicyTarget returns the policy's target.
func (p *FaultInjection) PolicyTarget() *Target { return &p.Spec.Target }
