package metrics

// The bucket of refusals holds ten minutes' worth, at least 30 (JUDGE.md section 6).
const (
	bucketWindow = 600.0
	bucketLeast  = 30.0
)

// refusals is the token bucket that takes the refusals a policy may make by design out of the new side's errors:
//
//	depth = max(30, a·requests expected in 10 min); the credit starts full, and a wider step adds the difference at once
//	per tick: credit = min(depth, credit + a·N); free = min(refused, credit); credit −= free
//
// The old side keeps all its errors. At most a·N + depth refusals go unseen, whatever their order; the new side's errors
// only fall, so that false rollbacks become no likelier.
type refusals struct {
	Credit float64 `json:"c,omitempty"`
	Depth  float64 `json:"d,omitempty"`
}

// widen follows the expected requests of ten minutes when a step begins. A bucket never shrinks.
func (r refusals) widen(allowed, expected float64) refusals {
	if depth := max(bucketLeast, allowed*expected); depth > r.Depth {
		r.Credit, r.Depth = r.Credit+depth-r.Depth, depth
	}
	return r
}

// take gives the factor that is left of each of the refused ones among n requests. It is the same in every stratum.
func (r refusals) take(allowed, refused, n float64) (refusals, float64) {
	r.Credit = min(r.Depth, r.Credit+allowed*n)
	if refused <= 0 {
		return r, 1
	}
	free := min(refused, r.Credit)
	r.Credit -= free
	return r, 1 - free/refused
}
