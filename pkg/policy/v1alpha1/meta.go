package v1alpha1

// TypeMeta names version and kind of a document.
type TypeMeta struct {
	// APIVersion is always meshpol.io/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is one of the eight policy kinds or Rollout.
	Kind string `json:"kind"`
}

// ObjectMeta names a document. The namespace is the namespace of its target.
type ObjectMeta struct {
	// Name is unique per kind and namespace; a DNS-1123 label of at most 63 characters.
	Name string `json:"name"`
	// Namespace is the namespace of the target; default: the namespace of the kubeconfig context.
	Namespace string `json:"namespace,omitempty"`
	// Labels are kept for the user; meshpol does not read them.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are kept for the user; meshpol does not read them.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Object is any document of this package.
type Object interface {
	Type() *TypeMeta
	Meta() *ObjectMeta
}

// PolicyObject is any document that is a policy, which means that it has a target.
type PolicyObject interface {
	Object
	PolicyTarget() *Target
}

// Type returns the document's version and kind.
func (t *TypeMeta) Type() *TypeMeta { return t }

// Header is what every document starts with.
type Header struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
}

// Meta returns the document's name and namespace.
func (h *Header) Meta() *ObjectMeta { return &h.ObjectMeta }
