package validate

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

// manyAttempts is the number of repeats above which a retry is more of a load than a cure.
const manyAttempts = 10

func noTryTime(p policy.Policy, o *v1alpha1.Retry) []Finding {
	t := o.Spec.PerTryTimeout
	return when(t != nil && t.Duration == 0, about(p, "spec.perTryTimeout", "perTryTimeout is 0s: a try could take no time at all",
		"remove it to let a try take as long as the request, or write a time such as 250ms"))
}

func tooManyAttempts(p policy.Policy, o *v1alpha1.Retry) []Finding {
	n := o.Spec.Attempts
	return when(n > manyAttempts, about(p, "spec.attempts", fmt.Sprintf("%d attempts turn one failing request into %d", n, n+1),
		"write 2 or 3: what fails three times in a row mostly fails on"))
}

// repeatsWrites looks for routes that are named by a method that changes things and failures after which the first try
// may have been carried out.
func repeatsWrites(p policy.Policy, o *v1alpha1.Retry) []Finding {
	safe := []string{"connect-failure", "refused-stream", "reset-before-request", "envoy-ratelimited", "429"}
	var risky []string
	for _, on := range o.Spec.On {
		if !slices.Contains(safe, on) {
			risky = append(risky, on)
		}
	}
	var out []Finding
	for i, r := range o.Spec.Target.Routes {
		if len(risky) > 0 && (r.Method == http.MethodPost || r.Method == http.MethodPatch) {
			out = append(out, about(p, fmt.Sprintf("spec.target.routes[%d].method", i),
				fmt.Sprintf("%s is repeated after %s, when it may have been carried out already", r.Method, risky[0]),
				"retry only on connect-failure, refused-stream and reset-before-request, or make the call idempotent"))
		}
	}
	return out
}

func noTimeout(p policy.Policy, o *v1alpha1.Timeout) []Finding {
	t := o.Spec.Request
	return when(t != nil && t.Duration == 0, about(p, "spec.request", "request is 0s: requests may take for ever",
		"write the longest time a caller waits, or keep it on purpose"))
}

func noWeight(p policy.Policy, o *v1alpha1.TrafficShift) []Finding {
	sum := int64(0)
	for _, b := range o.Spec.Backends {
		sum += int64(b.Weight)
	}
	return when(sum == 0, about(p, "spec.backends", "all weights are 0: no request would be answered", "give one backend a weight"))
}

func sameBackend(p policy.Policy, o *v1alpha1.TrafficShift) []Finding {
	var out []Finding
	first := map[string]int{}
	for i, b := range o.Spec.Backends {
		id := fmt.Sprint(b.Service, " ", b.Labels)
		if j, ok := first[id]; ok {
			out = append(out, about(p, fmt.Sprintf("spec.backends[%d]", i), fmt.Sprintf("the backend is the same as backends[%d]", j),
				"add their weights into one"))
			continue
		}
		first[id] = i
	}
	return out
}

func ejectsAll(p policy.Policy, o *v1alpha1.CircuitBreaker) []Finding {
	d := o.Spec.OutlierDetection
	return when(d != nil && d.MaxEjectionPercent != nil && *d.MaxEjectionPercent >= 100, about(p, "spec.outlierDetection.maxEjectionPercent",
		"all endpoints may be ejected at once", "write 50 or less: a fault of all endpoints is not cured by sending nowhere"))
}

func ejectsNone(p policy.Policy, o *v1alpha1.CircuitBreaker) []Finding {
	d := o.Spec.OutlierDetection
	return when(d != nil && d.MaxEjectionPercent != nil && *d.MaxEjectionPercent == 0, about(p, "spec.outlierDetection.maxEjectionPercent",
		"no endpoint may ever be ejected", "write a share such as 50, or remove outlierDetection"))
}

func allowsNothing(p policy.Policy, o *v1alpha1.Authorization) []Finding {
	return when(o.Spec.Action == "allow" && len(o.Spec.Rules) == 0, about(p, "spec.action",
		"allow without rules denies every request to the target", "add a rule for each caller, or keep it on purpose"))
}

func deniesNothing(p policy.Policy, o *v1alpha1.Authorization) []Finding {
	return when(o.Spec.Action == "deny" && len(o.Spec.Rules) == 0, about(p, "spec.action",
		"deny without rules denies nothing", "add a rule, or remove the policy"))
}

// wideFault is the share above which a fault is an outage.
const wideFault = 50

func hitsMost(p policy.Policy, o *v1alpha1.FaultInjection) []Finding {
	var out []Finding
	if a := o.Spec.Abort; a != nil && a.Percentage > wideFault {
		out = append(out, about(p, "spec.abort.percentage", fmt.Sprintf("%g %% of the requests are answered with an error", float64(a.Percentage)),
			"begin with a few percent"))
	}
	if d := o.Spec.Delay; d != nil && d.Percentage > wideFault {
		out = append(out, about(p, "spec.delay.percentage", fmt.Sprintf("%g %% of the requests wait %s", float64(d.Percentage), d.Duration.Text()),
			"begin with a few percent"))
	}
	return out
}

// namedTime is a duration of a policy with its field.
type namedTime struct {
	field string
	time  *v1alpha1.Duration
}

// limits are the times after which a policy ends a request or a try.
func limits(p policy.Policy) []namedTime {
	switch o := p.Object.(type) {
	case *v1alpha1.Timeout:
		return []namedTime{{"spec.request", o.Spec.Request}, {"spec.idle", o.Spec.Idle}}
	case *v1alpha1.Retry:
		return []namedTime{{"spec.perTryTimeout", o.Spec.PerTryTimeout}}
	}
	return nil
}

// times are all durations that a policy gives to proxies.
func times(p policy.Policy) []namedTime {
	switch o := p.Object.(type) {
	case *v1alpha1.Retry:
		return append(limits(p), namedTime{"spec.backoff", o.Spec.Backoff})
	case *v1alpha1.FaultInjection:
		if d := o.Spec.Delay; d != nil {
			return []namedTime{{"spec.delay.duration", &d.Duration}}
		}
	case *v1alpha1.CircuitBreaker:
		if d := o.Spec.OutlierDetection; d != nil {
			const at = "spec.outlierDetection."
			return []namedTime{{at + "interval", d.Interval}, {at + "baseEjectionTime", d.BaseEjectionTime}, {at + "maxEjectionTime", d.MaxEjectionTime}}
		}
	}
	return limits(p)
}

// impossibleTimes looks for times that are no whole milliseconds; 0s is another rule's, where it is wrong at all.
func impossibleTimes(f Facts) []Finding {
	var out []Finding
	for _, p := range f.Set.Policies {
		for _, t := range times(p) {
			if t.time != nil && t.time.Duration%time.Millisecond != 0 {
				out = append(out, about(p, t.field, t.time.Text()+" is no whole number of milliseconds: proxies count in them",
					"write "+v1alpha1.Duration{Duration: max(time.Millisecond, t.time.Round(time.Millisecond))}.Text()+", or a longer time; us is a millionth of a second"))
			}
		}
	}
	return out
}

// shortest is the time below which a call through two proxies does not come back, whatever the service does.
const shortest = 5 * time.Millisecond

func shortTimes(f Facts) []Finding {
	var out []Finding
	for _, p := range f.Set.Policies {
		for _, t := range limits(p) {
			if t.time != nil && t.time.Duration >= time.Millisecond && t.time.Duration < shortest && t.time.Duration%time.Millisecond == 0 {
				out = append(out, about(p, t.field, t.time.Text()+" is hardly longer than the way through two proxies: most requests would be cut off",
					"write a time above the latency of the target"))
			}
		}
	}
	return out
}
