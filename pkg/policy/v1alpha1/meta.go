package v1alpha1

// TypeMeta names version and kind of a document.
type TypeMeta struct {
	// APIVersion is always meshpol.io/v1alpha1.
	APIVersion string `json:"apiVersion" jsonschema:"required"`
	// Kind is one of the eight policy kinds or Rollout.
	Kind string `json:"kind" jsonschema:"required"`
}

// ObjectMeta names a document. The namespace is the namespace of its target.
type ObjectMeta struct {
	// Name is unique per kind and namespace; a DNS-1123 label of at most 63 characters. Example: cart-timeout.
	Name string `json:"name" jsonschema:"required,format=dns-label,example=cart-timeout"`
	// Namespace is the namespace of the target; default: the namespace of the kubeconfig context. Example: shop.
	Namespace string `json:"namespace,omitempty" jsonschema:"format=dns-label,example=shop"`
	// Labels are kept for the user; meshpol does not read them.
	Labels map[string]string `json:"labels,omitempty" jsonschema:"format=labels"`
	// Annotations are kept for the user; meshpol does not read them.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Object is any document of this package.
type Object interface {
	// Type returns the document's version and kind.
	Type() *TypeMeta
	// Meta returns the document's name and namespace.
	Meta() *ObjectMeta
}

// PolicyObject is any document that is a policy, which means that it has a target.
type PolicyObject interface {
	Object
	// PolicyTarget returns the policy's target.
	PolicyTarget() *Target
}

// Type returns the document's version and kind.
func (t *TypeMeta) Type() *TypeMeta { return t }

// Header is what every document starts with.
type Header struct {
	TypeMeta `json:",inline"`
	// ObjectMeta names the document.
	ObjectMeta `json:"metadata" jsonschema:"required"`
}

// Meta returns the document's name and namespace.
func (h *Header) Meta() *ObjectMeta { return &h.ObjectMeta }
