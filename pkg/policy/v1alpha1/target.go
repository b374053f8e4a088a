package v1alpha1

// Target says what a policy acts on. Exactly one of service, workload, namespace, gateway (with host) and host is set.
type Target struct {
	// Service is the name of a Service in the policy's namespace.
	Service string `json:"service,omitempty"`
	// Port narrows a service target to one port of the Service; default: every HTTP port.
	Port *int32 `json:"port,omitempty"`
	// Routes narrows a service target to some routes; default: every route to the service.
	Routes []RouteRef `json:"routes,omitempty"`
	// Workload selects pods by their labels; server-side kinds only.
	Workload *WorkloadRef `json:"workload,omitempty"`
	// Namespace selects the whole namespace; MutualTLS only.
	Namespace bool `json:"namespace,omitempty"`
	// Gateway names a Gateway ("name" or "namespace/name"); goes with host.
	Gateway string `json:"gateway,omitempty"`
	// Host is the host of a gateway target, or the host of a ServiceEntry.
	Host string `json:"host,omitempty"`
}

// RouteRef is one route: the user's own by name, or any by path and method.
type RouteRef struct {
	// Name is the name of a route of the user's own (VirtualService http[].name); excludes path and method.
	Name string `json:"name,omitempty"`
	// Path is an exact path ("/checkout"), or a prefix where it ends in * ("/api/*").
	Path string `json:"path,omitempty"`
	// Method is an HTTP method in capitals; default: every method.
	Method string `json:"method,omitempty"`
}

// WorkloadRef selects pods.
type WorkloadRef struct {
	// Labels must all be on a pod for it to be selected; at least one.
	Labels map[string]string `json:"labels"`
}
