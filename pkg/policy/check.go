package policy

import (
	"fmt"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// check holds fields against each other. Where a field has a fault already, nothing more is said about its neighbours:
// a misspelt key is not also a missing one.
func (d *decoder) check(object v1alpha1.Object) {
	switch o := object.(type) {
	case *v1alpha1.CircuitBreaker:
		d.circuitBreaker(o.Spec)
	case *v1alpha1.RateLimit:
		d.atLeastOne("spec", []string{"limit", "perClient"}, o.Spec.Limit != nil, o.Spec.PerClient != nil)
		d.needs("spec.burst", o.Spec.Burst != nil, "limit", o.Spec.Limit != nil)
	case *v1alpha1.Retry:
		d.retry(o.Spec)
	case *v1alpha1.Timeout:
		d.atLeastOne("spec", []string{"request", "idle"}, o.Spec.Request != nil, o.Spec.Idle != nil)
	case *v1alpha1.TrafficShift:
		for i, b := range o.Spec.Backends {
			d.exactlyOne(fmt.Sprintf("spec.backends[%d]", i), []string{"service", "labels"}, b.Service != "", b.Labels != nil)
		}
	case *v1alpha1.MutualTLS:
		d.mutualTLS(o.Spec)
	case *v1alpha1.Authorization:
		d.authorization(o.Spec)
	case *v1alpha1.FaultInjection:
		d.faultInjection(o.Spec)
	case *v1alpha1.Rollout:
		d.rollout(o.Spec)
	}
	if p, ok := object.(v1alpha1.PolicyObject); ok {
		d.target(p)
	}
}

// exactlyOne wants one of the fields of an object.
func (d *decoder) exactlyOne(path string, names []string, set ...bool) {
	if d.failedUnder(path) {
		return
	}
	var got []string
	for i, s := range set {
		if s {
			got = append(got, names[i])
		}
	}
	switch {
	case len(got) == 0:
		d.fail(CodeTogether, path, "one of "+strings.Join(names, ", ")+" is missing", "set exactly one of them")
	case len(got) > 1:
		d.fail(CodeTogether, join(path, got[1]), got[0]+" and "+got[1]+" exclude each other",
			"set exactly one of "+strings.Join(names, ", "))
	}
}

// atLeastOne wants one or more of the fields of an object.
func (d *decoder) atLeastOne(path string, names []string, set ...bool) {
	if d.failedUnder(path) {
		return
	}
	for _, s := range set {
		if s {
			return
		}
	}
	d.fail(CodeTogether, path, "none of "+strings.Join(names, ", ")+" is set", "set at least one of them")
}

// excludes refuses a field beside another one.
func (d *decoder) excludes(path string, set bool, other string, otherSet bool) {
	if set && otherSet {
		d.fail(CodeTogether, path, "cannot stand beside "+other, "remove one of them")
	}
}

// needs wants another field beside a field.
func (d *decoder) needs(path string, set bool, other string, otherSet bool) {
	if set && !otherSet && !d.failedUnder(join(parentField(path), other)) {
		d.fail(CodeTogether, path, "means nothing without "+other, "set "+other+" too, or remove it")
	}
}

func (d *decoder) circuitBreaker(s v1alpha1.CircuitBreakerSpec) {
	d.atLeastOne("spec", []string{"maxConnections", "maxPendingRequests", "maxRequests", "maxRequestsPerConnection", "maxRetries",
		"outlierDetection"}, s.HasPools(), s.OutlierDetection != nil)
	if o := s.OutlierDetection; o != nil {
		d.ordered("spec.outlierDetection.maxEjectionTime", "baseEjectionTime", o.BaseEjectionTime, o.MaxEjectionTime)
	}
}

// ordered wants the field at path, high, to be no shorter than its neighbour low.
func (d *decoder) ordered(path, lowName string, low, high *v1alpha1.Duration) {
	if low != nil && high != nil && high.Duration < low.Duration && !d.failedUnder(path) {
		d.fail(CodeValue, path, fmt.Sprintf("is %s, shorter than %s (%s)", high.Text(), lowName, low.Text()),
			"write at least "+low.Text())
	}
}

func (d *decoder) retry(s v1alpha1.RetrySpec) {
	if d.failedUnder("spec.attempts") {
		return
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"perTryTimeout", s.PerTryTimeout != nil}, {"on", s.On != nil}, {"backoff", s.Backoff != nil}} {
		if f.set && s.Attempts == 0 {
			d.fail(CodeTogether, "spec."+f.name, "means nothing where attempts is 0", "remove it, or set attempts to 1 or more")
		}
	}
}

func (d *decoder) mutualTLS(s v1alpha1.MutualTLSSpec) {
	d.exactlyOne("spec", []string{"mode", "client"}, s.Mode != "", s.Client != nil)
	d.excludes("spec.ports", s.Ports != nil, "client", s.Client != nil)
	d.excludes("spec.ports", s.Ports != nil, "a namespace target", s.Target.Namespace)
}

func (d *decoder) authorization(s v1alpha1.AuthorizationSpec) {
	for i, rule := range s.Rules {
		path := fmt.Sprintf("spec.rules[%d]", i)
		d.atLeastOne(path, []string{"from", "to"}, rule.From != nil, rule.To != nil)
		for j, from := range rule.From {
			d.atLeastOne(fmt.Sprintf("%s.from[%d]", path, j), []string{"serviceAccounts", "namespaces", "cidrs"},
				from.ServiceAccounts != nil, from.Namespaces != nil, from.CIDRs != nil)
		}
		for j, to := range rule.To {
			d.atLeastOne(fmt.Sprintf("%s.to[%d]", path, j), []string{"methods", "paths", "ports"},
				to.Methods != nil, to.Paths != nil, to.Ports != nil)
		}
	}
}

func (d *decoder) faultInjection(s v1alpha1.FaultInjectionSpec) {
	d.atLeastOne("spec", []string{"abort", "delay"}, s.Abort != nil, s.Delay != nil)
	if s.Abort != nil {
		d.exactlyOne("spec.abort", []string{"httpStatus", "grpcStatus"}, s.Abort.HTTPStatus != nil, s.Abort.GRPCStatus != "")
	}
}
