package referee

import "math"

// Share is a share really seen against the one expected.
type Share struct {
	// Hits of N requests. With N = 0 there is nothing to judge and the other numbers but Expected are 0.
	Hits int `json:"hits"`
	N    int `json:"n"`
	// Seen is Hits / N.
	Seen float64 `json:"seen"`
	// Expected is the share that a correct split has in the long run.
	Expected float64 `json:"expected"`
	// StandardError is what chance alone makes of N requests: sqrt(Expected × (1 − Expected) / N).
	StandardError float64 `json:"standardError"`
	// Off is (Seen − Expected) / StandardError. Where the expected share is 0 or 1, chance has no room: Off is 0 when
	// Seen equals Expected, and else the largest float of that sign.
	Off float64 `json:"off"`
}

// NewShare compares hits of n with an expected share from 0 to 1.
func NewShare(hits, n int, expected float64) Share {
	s := Share{Hits: hits, N: n, Expected: expected}
	if n == 0 {
		return s
	}
	s.Seen = float64(hits) / float64(n)
	s.StandardError = math.Sqrt(expected * (1 - expected) / float64(n))
	difference := s.Seen - expected
	switch {
	case difference == 0:
	case s.StandardError == 0:
		s.Off = math.Copysign(math.MaxFloat64, difference)
	default:
		s.Off = difference / s.StandardError
	}
	return s
}

// Within tells whether the share is at most so many standard errors off. It never holds for N = 0.
func (s Share) Within(standardErrors float64) bool {
	return s.N > 0 && math.Abs(s.Off) <= standardErrors
}
