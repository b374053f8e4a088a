package metrics

import "slices"

// Labels that say how a request ended. Envoy's route statistics have the first, Istio's standard metrics all three.
const (
	grpcLabel  = "grpc_response_status"
	flagsLabel = "response_flags"
)

// CodeRules say which finished requests are bad. They are plain data, so that a plan can print them.
type CodeRules struct {
	// Bad are response codes ("429") or classes ("5xx") that are errors.
	Bad []string `json:"bad,omitempty"`
	// BadGRPC are gRPC statuses (numbers) that are errors, whatever the HTTP code.
	BadGRPC []string `json:"badGRPC,omitempty"`
	// Refused are codes or classes that the policy itself answers; they are errors too.
	Refused []string `json:"refused,omitempty"`
	// RefusedFlags are Envoy's response flags (UT, UO, RL, FI, …) of answers that the policy itself made.
	RefusedFlags []string `json:"refusedFlags,omitempty"`
}

// DefaultCodes are the bad ends of ANALYSIS.md section 9: every 5xx, code 0 (no answer was sent) and the gRPC statuses
// unknown, deadline exceeded, resource exhausted, internal and unavailable. Nothing is taken for a refusal.
func DefaultCodes() CodeRules {
	return CodeRules{Bad: []string{"5xx", "0"}, BadGRPC: []string{"2", "4", "8", "13", "14"}}
}

func (r CodeRules) orDefault() CodeRules {
	if len(r.Bad)+len(r.BadGRPC) == 0 {
		d := DefaultCodes()
		r.Bad, r.BadGRPC = d.Bad, d.BadGRPC
	}
	return r
}

// Judge tells whether a series' labels mean an error, and whether the policy itself made it.
func (r CodeRules) Judge(labels map[string]string) (bad, refused bool) {
	code := labels[CodeLabel]
	refused = matchCode(r.Refused, code) || slices.Contains(r.RefusedFlags, labels[flagsLabel])
	bad = refused || matchCode(r.Bad, code) || slices.Contains(r.BadGRPC, labels[grpcLabel])
	return bad, refused
}

// matchCode knows exact codes and classes such as 5xx.
func matchCode(patterns []string, code string) bool {
	for _, p := range patterns {
		class := len(p) == 3 && p[1:] == "xx" && len(code) == 3 && code[0] == p[0]
		if p == code || class {
			return true
		}
	}
	return false
}
