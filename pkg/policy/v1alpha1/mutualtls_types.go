package v1alpha1

// MutualTLS says what a server accepts or what its clients use.
type MutualTLS struct {
	Header `json:",inline"`
	// Spec is what the policy does.
	Spec MutualTLSSpec `json:"spec" jsonschema:"required"`
}

// MutualTLSSpec has either a mode for the server side or a client part.
type MutualTLSSpec struct {
	// Target is what the policy acts on: with mode a service, a workload or the namespace; with client a service or a
	// host.
	Target Target `json:"target" jsonschema:"required"`
	// Mode is what the servers accept: strict (mutual TLS only) or permissive (plaintext too). Excludes client.
	Mode string `json:"mode,omitempty" jsonschema:"enum=strict,enum=permissive"`
	// Ports narrows mode to some ports of the pods; default: every port. Not with a namespace target.
	Ports []int32 `json:"ports,omitempty" jsonschema:"minItems=1,maxItems=64,minimum=1,maximum=65535,example=8080"`
	// Client is what the clients of the target use. Excludes mode and ports.
	Client *MutualTLSClient `json:"client,omitempty"`
}

// MutualTLSClient is what clients of the target use.
type MutualTLSClient struct {
	// Mode is istio-mutual (the mesh's certificates), simple (TLS without a client certificate), mutual (a certificate of
	// the user's own) or disable (plaintext).
	Mode string `json:"mode" jsonschema:"required,enum=istio-mutual,enum=simple,enum=mutual,enum=disable"`
}

// PolicyTarget returns the policy's target.
func (p *MutualTLS) PolicyTarget() *Target { return &p.Spec.Target }
