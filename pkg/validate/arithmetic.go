package validate

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// pairs asks one question of every two policies of one target whose documents are an A and a B and that can meet at one
// request.
func pairs[A, B any](question func(policy.Policy, A, policy.Policy, B) []Finding) func(Facts) []Finding {
	return func(f Facts) []Finding {
		var out []Finding
		for _, c := range f.Changes {
			for _, p := range c.Policies {
				a, ok := p.Object.(A)
				if !ok {
					continue
				}
				for _, q := range c.Policies {
					if b, ok := q.Object.(B); ok && meet(*p.Object.PolicyTarget(), *q.Object.PolicyTarget()) {
						out = append(out, question(p, a, q, b)...)
					}
				}
			}
		}
		return out
	}
}

// meet tells whether two narrowings of one target have a request in common.
func meet(a, b v1alpha1.Target) bool {
	if a.Port != nil && b.Port != nil && *a.Port != *b.Port {
		return false
	}
	if len(a.Routes) == 0 || len(b.Routes) == 0 {
		return true
	}
	for _, r := range a.Routes {
		if slices.ContainsFunc(b.Routes, func(s v1alpha1.RouteRef) bool { return routesMeet(r, s) }) {
			return true
		}
	}
	return false
}

// routesMeet compares two routes. A named route and a path may meet too, but only the mesh's own routes can tell: the
// mesh answers that when it compiles.
func routesMeet(a, b v1alpha1.RouteRef) bool {
	if a.Name != "" || b.Name != "" {
		return a.Name == b.Name
	}
	if a.Method != "" && b.Method != "" && a.Method != b.Method {
		return false
	}
	return pathsMeet(a.Path, b.Path)
}

func pathsMeet(a, b string) bool {
	prefixA, isA := cutStar(a)
	prefixB, isB := cutStar(b)
	switch {
	case isA && isB:
		return hasPrefix(prefixA, prefixB) || hasPrefix(prefixB, prefixA)
	case isA:
		return hasPrefix(b, prefixA)
	case isB:
		return hasPrefix(a, prefixB)
	}
	return a == b
}

// cutStar is the prefix of a path that ends in *; no path at all is the prefix of every path.
func cutStar(path string) (string, bool) {
	if path == "" {
		return "", true
	}
	if path[len(path)-1] == '*' {
		return path[:len(path)-1], true
	}
	return path, false
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// triesAndTimeout is the arithmetic of a Retry under a Timeout; false where one of them sets no time.
func triesAndTimeout(r *v1alpha1.Retry, t *v1alpha1.Timeout) (try, all, timeout time.Duration, ok bool) {
	if r.Spec.PerTryTimeout == nil || t.Spec.Request == nil || r.Spec.PerTryTimeout.Duration == 0 || t.Spec.Request.Duration == 0 {
		return 0, 0, 0, false
	}
	try, timeout = r.Spec.PerTryTimeout.Duration, t.Spec.Request.Duration
	all = time.Duration(r.Spec.Attempts+1) * try
	if r.Spec.Backoff != nil {
		all += time.Duration(r.Spec.Attempts) * r.Spec.Backoff.Duration
	}
	return try, all, timeout, true
}

func text(d time.Duration) string { return v1alpha1.Duration{Duration: d}.Text() }

// triesDoNotFit finds retries that the timeout cuts off.
func triesDoNotFit(p policy.Policy, r *v1alpha1.Retry, q policy.Policy, t *v1alpha1.Timeout) []Finding {
	try, all, timeout, ok := triesAndTimeout(r, t)
	if !ok || all <= timeout || try >= timeout {
		return nil
	}
	pause := ""
	if r.Spec.Backoff != nil {
		pause = fmt.Sprintf(" and %d pauses of %s", r.Spec.Attempts, r.Spec.Backoff.Text())
	}
	return []Finding{about(p, "spec.perTryTimeout",
		fmt.Sprintf("%d tries of %s%s take %s, longer than the timeout of %s (%s, %s): the last ones never happen",
			r.Spec.Attempts+1, text(try), pause, text(all), text(timeout), q.Key, q.Source.At("spec.request")),
		fmt.Sprintf("write a perTryTimeout of at most %s, fewer attempts, or a timeout of at least %s", fitting(r, timeout), text(all)))}
}

// fitting is the longest time per try with which all tries fit, in whole milliseconds.
func fitting(r *v1alpha1.Retry, timeout time.Duration) string {
	left := timeout
	if r.Spec.Backoff != nil {
		left -= time.Duration(r.Spec.Attempts) * r.Spec.Backoff.Duration
	}
	return text(max(left/time.Duration(r.Spec.Attempts+1), 0).Truncate(time.Millisecond))
}

// noRetryFits finds a first try that may use up the whole timeout.
func noRetryFits(p policy.Policy, r *v1alpha1.Retry, q policy.Policy, t *v1alpha1.Timeout) []Finding {
	try, _, timeout, ok := triesAndTimeout(r, t)
	return when(ok && try >= timeout, about(p, "spec.perTryTimeout",
		fmt.Sprintf("one try may take %s, as long as the whole request (%s, %s, %s): a try that hangs is never repeated",
			text(try), text(timeout), q.Key, q.Source.At("spec.request")),
		fmt.Sprintf("write a perTryTimeout of at most %s", fitting(r, timeout))))
}

// sameKind finds two policies of one kind that both decide about one request. Authorization is left out: its policies
// add up.
func sameKind(f Facts) []Finding {
	var out []Finding
	for _, c := range f.Changes {
		for i, p := range c.Policies {
			for _, q := range c.Policies[:i] {
				if p.Kind == q.Kind && p.Kind != "Authorization" && sameSide(p, q) && meet(*p.Object.PolicyTarget(), *q.Object.PolicyTarget()) {
					out = append(out, about(p, "spec.target", fmt.Sprintf("%s (%s) already holds for requests of %s", q.Key, q.Source.At("spec.target"), c.Target),
						"merge the two, or narrow them to routes that have no request in common"))
				}
			}
		}
	}
	return out
}

// sameSide keeps the two sides of MutualTLS apart, and its ports.
func sameSide(p, q policy.Policy) bool {
	a, okA := p.Object.(*v1alpha1.MutualTLS)
	b, okB := q.Object.(*v1alpha1.MutualTLS)
	if !okA || !okB {
		return true
	}
	if (a.Spec.Client == nil) != (b.Spec.Client == nil) {
		return false
	}
	if len(a.Spec.Ports) == 0 || len(b.Spec.Ports) == 0 {
		return len(a.Spec.Ports) == len(b.Spec.Ports) // a policy for ports refines one for all ports
	}
	return slices.ContainsFunc(a.Spec.Ports, func(port int32) bool { return slices.Contains(b.Spec.Ports, port) })
}

// retriesRefusals finds retries of what a rate limit refuses: each of them counts against the limit again.
func retriesRefusals(p policy.Policy, r *v1alpha1.Retry, q policy.Policy, _ *v1alpha1.RateLimit) []Finding {
	for i, on := range r.Spec.On {
		if on == "429" || on == "envoy-ratelimited" {
			return []Finding{about(p, fmt.Sprintf("spec.on[%d]", i),
				fmt.Sprintf("what %s (%s) refuses is sent up to %d times: retries multiply the load that the limit is to shed", q.Key, q.Source.At("spec.limit"), r.Spec.Attempts+1),
				"remove "+on)}
		}
	}
	return nil
}

// sidesDisagree finds servers that demand what their clients do not do.
func sidesDisagree(p policy.Policy, client *v1alpha1.MutualTLS, q policy.Policy, server *v1alpha1.MutualTLS) []Finding {
	if client.Spec.Client == nil || server.Spec.Mode != "strict" || client.Spec.Client.Mode == "istio-mutual" {
		return nil
	}
	return []Finding{about(p, "spec.client.mode",
		fmt.Sprintf("clients use %s while the servers accept mutual TLS of the mesh only (%s, %s): every call would fail", client.Spec.Client.Mode, q.Key, q.Source.At("spec.mode")),
		"write istio-mutual, or make the servers permissive")}
}

// faultsComeFirst says that a fault does not exercise what stands behind it.
func faultsComeFirst(p policy.Policy, _ *v1alpha1.FaultInjection, q policy.Policy, o v1alpha1.PolicyObject) []Finding {
	kind := o.Type().Kind
	return when(kind == "Retry" || kind == "Timeout", about(p, "spec", fmt.Sprintf("the fault is injected before %s (%s) acts: it is neither repeated nor cut off", q.Key, q.Source.At("spec")),
		"inject the fault at the callee's own callee to see this policy at work"))
}

// ejectsLessThanOne finds ejection shares that round to no endpoint.
func ejectsLessThanOne(f Facts) []Finding {
	return each(func(p policy.Policy, o *v1alpha1.CircuitBreaker) []Finding {
		d := o.Spec.OutlierDetection
		if d == nil || d.MaxEjectionPercent == nil || *d.MaxEjectionPercent == 0 || o.Spec.Target.Service == "" {
			return nil
		}
		n := len(f.cluster.servers[p.Target()])
		if n == 0 {
			return nil // another finding's matter
		}
		share := float64(*d.MaxEjectionPercent)
		return when(share*float64(n) < 100, about(p, "spec.outlierDetection.maxEjectionPercent",
			fmt.Sprintf("%g %% of %d endpoints is less than one: no endpoint is ejected by recent proxies", share, n),
			fmt.Sprintf("write at least %g", float64((100+n-1)/n))))
	})(f)
}
