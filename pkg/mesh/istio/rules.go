package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// rule is one policy in Istio's terms.
type rule struct {
	key    policy.Key
	target v1alpha1.Target
	// timeout is the route's timeout; empty removes it. Only where kind is Timeout.
	timeout string
	// retries is the route's retries block without the fields that policies do not know. Only where kind is Retry.
	retries tree
	// breaker is what a CircuitBreaker sets. Only where kind is CircuitBreaker.
	breaker *breaker
}

// breaker is what a CircuitBreaker sets in a traffic policy; nil parts are not set.
type breaker struct {
	// pool and outlier are merged into connectionPool and outlierDetection.
	pool    tree
	outlier tree
	// port narrows it to one port; 0 is every port.
	port int64
}

// routed tells whether the rule changes http entries themselves.
func (r rule) routed() bool { return r.breaker == nil }

// removesTimeout tells whether the rule is a Timeout of 0s: Istio refuses that value, and no timeout is the same.
func (r rule) removesTimeout() bool { return r.routed() && r.retries == nil && r.timeout == "" }

// rulesOf turns the policies of a change into rules, or says which field Istio cannot express.
func rulesOf(c policy.Change, version string) ([]rule, error) {
	var out []rule
	for _, p := range c.Policies {
		if err := supportedTarget(p); err != nil {
			return nil, err
		}
		r, err := ruleOf(p, version)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func supportedTarget(p policy.Policy) error {
	t := p.Object.PolicyTarget()
	if t.Service != "" {
		return nil
	}
	kind := strings.ToLower(p.Target().Kind)
	return refusal(codeTarget, p.Key, "spec.target."+kind, "targets of kind "+kind+" come with a later release",
		"name a Service: spec.target.service")
}

func ruleOf(p policy.Policy, version string) (rule, error) {
	r := rule{key: p.Key, target: *p.Object.PolicyTarget()}
	var err error
	switch o := p.Object.(type) {
	case *v1alpha1.Timeout:
		r.timeout, err = timeoutOf(p.Key, o.Spec)
	case *v1alpha1.Retry:
		r.retries, err = retriesOf(p.Key, o.Spec, version)
	case *v1alpha1.CircuitBreaker:
		r.breaker, err = breakerOf(p.Key, o.Spec)
	default:
		err = refusal(codeKind, p.Key, "kind", p.Kind+" on Istio comes with a later release",
			"Timeout, Retry and CircuitBreaker work now")
	}
	return r, err
}

func timeoutOf(key policy.Key, s v1alpha1.TimeoutSpec) (string, error) {
	if s.Idle != nil {
		return "", refusal(codeIdle, key, "spec.idle", "Istio's routes have no idle timeout",
			"set request, or connectionPool.http.idleTimeout in the DestinationRule by hand")
	}
	if s.Request == nil {
		return "", refusal(codeNothingToDo, key, "spec.request",
			"a Timeout without request changes nothing",
			"set request")
	}
	if s.Request.Duration == 0 {
		return "", nil
	}
	return duration(key, "spec.request", *s.Request)
}

// duration writes a duration as Istio takes it: at least 1ms, whole milliseconds.
func duration(key policy.Key, at string, d v1alpha1.Duration) (string, error) {
	if d.Duration < time.Millisecond || d.Duration%time.Millisecond != 0 {
		return "", refusal(codeValue, key, at, "Istio takes durations of whole milliseconds, from 1ms on", "round it")
	}
	return d.Text(), nil
}

// retriesOf is the block as a person would write it. Istio refuses any other field beside attempts: 0.
func retriesOf(key policy.Key, s v1alpha1.RetrySpec, version string) (tree, error) {
	out := tree{"attempts": int64(s.Attempts)}
	if s.Attempts == 0 {
		return out, nil
	}
	if len(s.On) > 0 {
		if err := retryConditions(key, s.On); err != nil {
			return nil, err
		}
		out["retryOn"] = strings.Join(s.On, ",")
	}
	if s.PerTryTimeout != nil {
		d, err := duration(key, "spec.perTryTimeout", *s.PerTryTimeout)
		if err != nil {
			return nil, err
		}
		out["perTryTimeout"] = d
	}
	return withBackoff(key, s, version, out)
}

func withBackoff(key policy.Key, s v1alpha1.RetrySpec, version string, out tree) (tree, error) {
	if s.Backoff == nil {
		return out, nil
	}
	if !atLeast(version, 26) {
		return nil, refusal(codeBackoff, key, "spec.backoff",
			"retries.backoff exists since Istio 1.26",
			"leave backoff out: Envoy waits 25 ms and more")
	}
	d, err := duration(key, "spec.backoff", *s.Backoff)
	if err != nil {
		return nil, err
	}
	out["backoff"] = d
	return out, nil
}

// retryConditions are checked as Istio's webhook checks them: a code, or one of the words it knows.
func retryConditions(key policy.Key, on []string) error {
	known := []string{
		"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream",
		"retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure",
		"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
	}
	for i, c := range on {
		if code, err := strconv.Atoi(c); err == nil && code >= 100 && code < 600 {
			continue
		}
		if !slices.Contains(known, c) {
			return refusal(codeValue, key, fmt.Sprintf("spec.on[%d]", i), "Istio does not know the condition "+strconv.Quote(c),
				"use a status code or one of "+strings.Join(known, ", "))
		}
	}
	return nil
}

func breakerOf(key policy.Key, s v1alpha1.CircuitBreakerSpec) (*breaker, error) {
	if len(s.Target.Routes) > 0 {
		return nil, refusal(codeBreakerRoute, key, "spec.target.routes",
			"connection pools and outlier detection belong to the service's cluster, which all its routes share",
			"leave routes out, or narrow it with target.port")
	}
	b := &breaker{pool: poolOf(s)}
	if s.Target.Port != nil {
		b.port = int64(*s.Target.Port)
	}
	var err error
	if s.OutlierDetection != nil {
		b.outlier, err = outlierOf(key, *s.OutlierDetection)
	}
	if err == nil && len(b.pool) == 0 && len(b.outlier) == 0 {
		err = refusal(codeNothingToDo, key, "spec",
			"a CircuitBreaker without limits changes nothing",
			"set at least one limit")
	}
	return b, err
}

func poolOf(s v1alpha1.CircuitBreakerSpec) tree {
	pool, http := tree{}, tree{}
	for name, v := range map[string]*int32{
		"http1MaxPendingRequests": s.MaxPendingRequests, "http2MaxRequests": s.MaxRequests,
		"maxRequestsPerConnection": s.MaxRequestsPerConnection, "maxRetries": s.MaxRetries,
	} {
		if v != nil {
			http[name] = int64(*v)
		}
	}
	if len(http) > 0 {
		pool["http"] = http
	}
	if s.MaxConnections != nil {
		pool["tcp"] = tree{"maxConnections": int64(*s.MaxConnections)}
	}
	return pool
}

func outlierOf(key policy.Key, o v1alpha1.OutlierDetection) (tree, error) {
	const at = "spec.outlierDetection."
	if o.MaxEjectionTime != nil {
		return nil, refusal(codeMaxEjection, key, at+"maxEjectionTime", "Istio's API does not carry Envoy's max_ejection_time",
			"leave it out: Envoy caps an ejection at 300s, or at baseEjectionTime where that is longer")
	}
	out := tree{}
	if o.ConsecutiveErrors != nil {
		out["consecutive5xxErrors"] = int64(*o.ConsecutiveErrors)
	}
	if p := o.MaxEjectionPercent; p != nil {
		if float64(*p) != float64(int64(*p)) {
			return nil, refusal(codeFraction, key, at+"maxEjectionPercent", "Istio takes whole percents", "round it")
		}
		out["maxEjectionPercent"] = int64(*p)
	}
	for _, d := range []struct {
		name  string
		value *v1alpha1.Duration
	}{{"interval", o.Interval}, {"baseEjectionTime", o.BaseEjectionTime}} {
		if d.value == nil {
			continue
		}
		v, err := duration(key, at+d.name, *d.value)
		if err != nil {
			return nil, err
		}
		out[d.name] = v
	}
	return out, nil
}

// atLeast tells whether a version is 1.<minor> or later; an unknown version is taken for a new one, since the API
// server's dry run has the last word.
func atLeast(version string, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return true
	}
	digits := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		parts[1] = parts[1][:digits]
	}
	major, err1 := strconv.Atoi(parts[0])
	got, err2 := strconv.Atoi(parts[1])
	return err1 != nil || err2 != nil || major > 1 || got >= minor
}

// userRetryFields are fields of a retries block that policies do not know: they survive.
func userRetryFields() []string { return []string{"retryRemoteLocalities", "retryIgnorePreviousHosts"} }

// applyRoute puts the rules' fields into a copy of an http entry.
func applyRoute(entry tree, rules []rule) tree {
	out := copyTree(entry)
	for _, r := range rules {
		switch {
		case r.retries != nil:
			out["retries"] = mergedRetries(asTree(out["retries"]), r.retries)
		case r.breaker != nil:
		case r.timeout == "":
			delete(out, "timeout")
		default:
			out["timeout"] = r.timeout
		}
	}
	return out
}

func mergedRetries(old, ours tree) tree {
	out := copyTree(ours)
	if integer(ours["attempts"]) == 0 {
		return out
	}
	for _, f := range userRetryFields() {
		if v, ok := old[f]; ok {
			out[f] = copyValue(v)
		}
	}
	return out
}
