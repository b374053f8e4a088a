package policy

import "github.com/meshpol/meshpol/pkg/policy/v1alpha1"

// Side is where a policy acts.
type Side string

// The sides. MutualTLS acts on the server with mode and on the client with client.
const (
	ClientSide Side = "client"
	ServerSide Side = "server"
	EitherSide Side = "either"
)

// Kind is what is to be known of a policy kind.
type Kind struct {
	// Name is the kind as written in a file.
	Name string
	// New makes an empty document.
	New func() v1alpha1.PolicyObject
	// Targets are the target fields that the kind may have: service, workload, namespace, gateway, host.
	Targets []string
	// Routes tells whether a service target may be narrowed to routes.
	Routes bool
	// Side is where the policy acts.
	Side Side
	// Doc is one line for lists.
	Doc string
}

// RolloutKind is the only kind that is not a policy.
const RolloutKind = "Rollout"

// Kinds lists every policy kind, sorted by name.
func Kinds() []Kind {
	return []Kind{
		{"Authorization", func() v1alpha1.PolicyObject { return &v1alpha1.Authorization{} },
			[]string{"service", "workload"}, true, ServerSide, "allow or deny requests"},
		{"CircuitBreaker", func() v1alpha1.PolicyObject { return &v1alpha1.CircuitBreaker{} },
			[]string{"service", "host"}, false, ClientSide, "limit connections and requests, eject failing endpoints"},
		{"FaultInjection", func() v1alpha1.PolicyObject { return &v1alpha1.FaultInjection{} },
			[]string{"service", "gateway", "host"}, true, ClientSide, "answer some requests with an error or delay them"},
		{"MutualTLS", func() v1alpha1.PolicyObject { return &v1alpha1.MutualTLS{} },
			[]string{"service", "workload", "namespace", "host"}, false, EitherSide, "what servers accept or clients use"},
		{"RateLimit", func() v1alpha1.PolicyObject { return &v1alpha1.RateLimit{} },
			[]string{"service", "workload", "gateway"}, true, ServerSide, "limit the requests of each instance"},
		{"Retry", func() v1alpha1.PolicyObject { return &v1alpha1.Retry{} },
			[]string{"service", "gateway", "host"}, true, ClientSide, "repeat failed requests"},
		{"Timeout", func() v1alpha1.PolicyObject { return &v1alpha1.Timeout{} },
			[]string{"service", "gateway", "host"}, true, ClientSide, "end requests that take too long"},
		{"TrafficShift", func() v1alpha1.PolicyObject { return &v1alpha1.TrafficShift{} },
			[]string{"service", "gateway"}, true, ClientSide, "divide requests among backends"},
	}
}

// KindByName finds a policy kind.
func KindByName(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// documentKinds are the names of all kinds that a file may hold.
func documentKinds() []string {
	out := []string{RolloutKind}
	for _, k := range Kinds() {
		out = append(out, k.Name)
	}
	return out
}
