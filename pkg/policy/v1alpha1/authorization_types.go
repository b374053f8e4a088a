package v1alpha1

// Authorization allows or denies requests.
type Authorization struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec AuthorizationSpec `json:"spec" jsonschema:"required"`
}

// AuthorizationSpec is an action with the rules it applies to.
type AuthorizationSpec struct {
	// Target is what the policy acts on: a service or a workload.
	Target Target `json:"target" jsonschema:"required"`
	// Action is allow (what no allow rule matches is denied) or deny (what a deny rule matches is denied).
	Action string `json:"action" jsonschema:"required,enum=allow,enum=deny"`
	// Rules are alternatives: a request is matched by the policy where one rule matches it. Without rules allow denies
	// everything and deny nothing.
	Rules []AuthorizationRule `json:"rules,omitempty" jsonschema:"minItems=1,maxItems=256"`
}

// AuthorizationRule matches a request by where it comes from and where it goes; at least one of from and to.
type AuthorizationRule struct {
	// From are alternatives: one of them must match the caller; default: every caller.
	From []AuthorizationSource `json:"from,omitempty" jsonschema:"minItems=1"`
	// To are alternatives: one of them must match the request; default: every request.
	To []AuthorizationOperation `json:"to,omitempty" jsonschema:"minItems=1"`
}

// AuthorizationSource is a set of callers; every key that is set must match, one value of it is enough.
type AuthorizationSource struct {
	// ServiceAccounts are "name" in the policy's namespace or "namespace/name". Example: [web].
	ServiceAccounts []string `json:"serviceAccounts,omitempty" jsonschema:"minItems=1,format=service-account,example=shop/web"`
	// Namespaces are the callers' namespaces. Example: [shop].
	Namespaces []string `json:"namespaces,omitempty" jsonschema:"minItems=1,format=dns-label,example=shop"`
	// CIDRs are the callers' addresses. Example: [10.0.0.0/8].
	CIDRs []string `json:"cidrs,omitempty" jsonschema:"minItems=1,format=cidr,example=10.0.0.0/8"`
}

// AuthorizationOperation is a set of requests; every key that is set must match, one value of it is enough.
type AuthorizationOperation struct {
	// Methods are HTTP methods in capitals. Example: [GET].
	Methods []string `json:"methods,omitempty" jsonschema:"minItems=1,format=method,example=GET"`
	// Paths are exact paths, or prefixes where they end in *. Example: [/api/*].
	Paths []string `json:"paths,omitempty" jsonschema:"minItems=1,format=path,example=/api/*"`
	// Ports are ports of the pods. Example: [8080].
	Ports []int32 `json:"ports,omitempty" jsonschema:"minItems=1,minimum=1,maximum=65535,example=8080"`
}

// PolicyTarget returns the policy's target.
func (p *Authorization) PolicyTarget() *Target { return &p.Spec.Target }
