package v1alpha1

// Target says what a policy acts on. Exactly one of service, workload, namespace, gateway (with host) and host is set.
type Target struct {
	// Service is the name of a Service in the policy's namespace. Example: cart.
	Service string `json:"service,omitempty" jsonschema:"format=dns-label,example=cart"`
	// Port narrows a service target to one port of the Service; default: every HTTP port. Example: 8080.
	Port *int32 `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535,example=8080"`
	// Routes narrows a service target to some routes; default: every route to the service.
	Routes []RouteRef `json:"routes,omitempty" jsonschema:"minItems=1,maxItems=64"`
	// Workload selects pods by their labels; server-side kinds only.
	Workload *WorkloadRef `json:"workload,omitempty"`
	// Namespace selects the whole namespace; MutualTLS only. It is true or absent.
	Namespace bool `json:"namespace,omitempty"`
	// Gateway names a Gateway ("name" or "namespace/name"); goes with host. Example: istio-ingress/public.
	Gateway string `json:"gateway,omitempty" jsonschema:"format=gateway,example=istio-ingress/public"`
	// Host is the host of a gateway target, or the host of a ServiceEntry. Example: api.example.com.
	Host string `json:"host,omitempty" jsonschema:"format=host,example=api.example.com"`
}

// RouteRef is one route: the user's own by name, or any by path and method.
type RouteRef struct {
	// Name is the name of a route of the user's own (VirtualService http[].name); excludes path and method.
	Name string `json:"name,omitempty" jsonschema:"format=route-name,example=checkout"`
	// Path is an exact path ("/checkout"), or a prefix where it ends in * ("/api/*").
	Path string `json:"path,omitempty" jsonschema:"format=path,example=/api/*"`
	// Method is an HTTP method in capitals; default: every method. Example: GET.
	Method string `json:"method,omitempty" jsonschema:"format=method,example=GET"`
}

// WorkloadRef selects pods.
type WorkloadRef struct {
	// Labels must all be on a pod for it to be selected; at least one. Example: {app: cart}.
	Labels map[string]string `json:"labels" jsonschema:"required,minProperties=1,format=labels"`
}
