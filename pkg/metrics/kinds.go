package metrics

import "slices"

// Watch says how a policy of a kind is judged: which ends of a request are bad, which of them the policy makes itself,
// and what else may be harm (ANALYSIS.md section 9). What every kind has in common is DefaultCodes.
type Watch struct {
	Codes CodeRules
	// Silent tells that the policy may cut traffic off below HTTP, where nothing counts it: then a silent new side is harm.
	Silent bool
	// Slow tells that it may make requests slow on purpose, so that latency does not speak against it.
	Slow bool
}

// WatchOf is how a kind is judged; false for one that is not known.
//
//	CircuitBreaker   5xx, no answer, gRPC failures    itself: 503 UO
//	Timeout          the same                         itself: 504 UT
//	Retry            the same; attempts per request
//	RateLimit        429 too                          itself: 429 RL
//	TrafficShift     5xx, no answer, gRPC failures
//	MutualTLS        the same; silence
//	Authorization    401, 403, gRPC 7 and 16 too; silence   itself: 403, gRPC 7
//	FaultInjection   5xx, no answer, gRPC failures    itself: FI, DI; slow on purpose
func WatchOf(kind string) (Watch, bool) {
	w := Watch{Codes: DefaultCodes()}
	switch kind {
	case "CircuitBreaker":
		w.Codes.Refused, w.Codes.RefusedFlags = []string{"503"}, []string{"UO"}
	case "Timeout":
		w.Codes.Refused, w.Codes.RefusedFlags = []string{"504"}, []string{"UT"}
	case "Retry", "TrafficShift":
	case "RateLimit":
		w.Codes.Bad = append(w.Codes.Bad, "429")
		w.Codes.Refused, w.Codes.RefusedFlags = []string{"429"}, []string{"RL"}
	case "MutualTLS":
		w.Silent = true
	case "Authorization":
		w.Codes.Bad, w.Codes.BadGRPC = append(w.Codes.Bad, "401", "403"), append(w.Codes.BadGRPC, "7", "16")
		w.Codes.Refused, w.Silent = []string{"403"}, true
	case "FaultInjection":
		w.Codes.RefusedFlags, w.Slow = []string{"FI", "DI"}, true
	default:
		return Watch{}, false
	}
	return w, true
}

// And is both rules together: what is bad or refused by one of them is.
func (r CodeRules) And(more CodeRules) CodeRules {
	both := func(a, b []string) []string {
		out := slices.Clone(a)
		for _, x := range b {
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
		return out
	}
	return CodeRules{Bad: both(r.Bad, more.Bad), BadGRPC: both(r.BadGRPC, more.BadGRPC), Refused: both(r.Refused, more.Refused), RefusedFlags: both(r.RefusedFlags, more.RefusedFlags)}
}
