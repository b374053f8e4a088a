package metrics

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"
)

// firstVersion names the first judge and the format of its score.
const firstVersion = "first/1"

// dealtPods is how many pods of a side are dealt into strata by order; more are dealt by hash, which is even enough.
const dealtPods = 64

// score is what the first judge remembers of a rollout. Step-wise parts are reset when a step begins.
type score struct {
	// Begun tells that a step after step 0 has been scored; LatencyWeight was fixed then.
	Begun         bool    `json:"begun,omitempty"`
	LatencyWeight float64 `json:"lw,omitempty"`
	// BaseN requests with BaseX errors were seen under the old policy; Timed and Tails are their latencies.
	BaseN float64 `json:"n"`
	BaseX float64 `json:"x"`
	Timed float64 `json:"timed,omitempty"`
	Tails []tail  `json:"tails,omitempty"`

	// Pods are hashes of pods in the order in which they were dealt into K strata, step-wise; by instance only those of
	// the new side, and Stable are the old side's.
	Pods   []uint16 `json:"pods,omitempty"`
	Stable []uint16 `json:"stable,omitempty"`
	K      int      `json:"k,omitempty"`
	// Pending are the strata's counts since PendingFrom (Unix milliseconds) that are not scored yet.
	Pending     []cell `json:"pending,omitempty"`
	PendingFrom int64  `json:"from,omitempty"`
	// Shares are the sums over ticks of c², c·n and n² (c of n requests were new), step-wise.
	Shares [3]float64 `json:"shares"`
	// Newest is the time of the newest sample (Unix milliseconds); Faults counts failed readings in a row; Sides is the
	// number of series seen, new and old.
	Newest int64  `json:"newest,omitempty"`
	Faults int    `json:"faults,omitempty"`
	Fault  string `json:"fault,omitempty"`
	Sides  [2]int `json:"sides"`

	// Errors and Floor are the two halves of the score of errors; Back and BackFloor the same with the sides exchanged,
	// at step 0 only. Veto compares the bake with its holdback.
	Errors    evidence  `json:"errors"`
	Floor     mixture   `json:"floor"`
	Back      *evidence `json:"back,omitempty"`
	BackFloor *mixture  `json:"backFloor,omitempty"`
	Veto      *mixture  `json:"veto,omitempty"`
	Bound     bounds    `json:"bound"`
	Latency   []slower  `json:"latency,omitempty"`

	// Credit and Depth are the bucket of allowed refusals.
	Credit float64 `json:"credit,omitempty"`
	Depth  float64 `json:"depth,omitempty"`
}

// cell is one stratum in one tick.
type cell struct {
	New half `json:"c"`
	Old half `json:"s"`
}

// half is one side of a cell: N requests, X of them bad, T timed, S of those slower than each chosen bound.
type half struct {
	N float64   `json:"n,omitempty"`
	X float64   `json:"x,omitempty"`
	T float64   `json:"t,omitempty"`
	S []float64 `json:"s,omitempty"`
}

func (h half) plus(c Counts, bad float64, chosen []slower) half {
	h.N, h.X, h.T = h.N+c.Requests, h.X+bad, h.T+c.Timed
	h.S = slices.Clone(h.S)
	for i, l := range chosen {
		if i >= len(h.S) {
			h.S = append(h.S, 0)
		}
		h.S[i] += c.Slow[l.Bound]
	}
	return h
}

func newScore() score { return score{Errors: newEvidence(), Floor: newMixture()} }

// decodeScore reads a state; an empty one is a new score.
func decodeScore(state State) (score, error) {
	if state.Version == "" {
		return newScore(), nil
	}
	if state.Version != firstVersion {
		return score{}, fmt.Errorf("the saved score is of judge %q, this is %q", state.Version, firstVersion)
	}
	var s score
	if err := json.Unmarshal(state.Detail, &s); err != nil {
		return score{}, fmt.Errorf("reading the saved score: %w", err)
	}
	return s, nil
}

// encode writes a score, with shortened numbers so that the state stays small.
func (s score) encode() json.RawMessage {
	s.Errors, s.Floor, s.Bound = s.Errors.trimmed(), s.Floor.trimmed(), s.Bound.trimmed()
	if s.Back != nil {
		back, floor := s.Back.trimmed(), s.BackFloor.trimmed()
		s.Back, s.BackFloor = &back, &floor
	}
	if s.Veto != nil {
		veto := s.Veto.trimmed()
		s.Veto = &veto
	}
	s.Latency = slices.Clone(s.Latency)
	for i := range s.Latency {
		s.Latency[i].Score = s.Latency[i].Score.trimmed()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil // only a number that is none could do this; the counters let none in
	}
	return text
}

// beginStep resets what belongs to a step.
func (s score) beginStep(kind StepKind) score {
	s.Pods, s.Stable, s.K, s.Pending, s.PendingFrom, s.Shares = nil, nil, 0, nil, 0, [3]float64{}
	s.Back, s.BackFloor, s.Veto = nil, nil, nil
	switch kind {
	case StepStage:
		back, floor := newEvidence(), newMixture()
		s.Errors, s.Floor, s.Back, s.BackFloor = newEvidence(), newMixture(), &back, &floor
	case StepBake:
		veto := newMixture().start(1)
		s.Veto = &veto
	}
	if !s.Begun && kind != StepStage {
		s.Errors, s.Floor = newEvidence(), newMixture()
	}
	s.Latency = slices.Clone(s.Latency)
	for i := range s.Latency {
		s.Latency[i].New, s.Latency[i].Old = half{}, half{}
	}
	return s
}

// deal gives pods their stratum, sorted by name the first time, later ones at the end. By request every pod has both
// sides and goes with both of its halves. By instance the two sides are dealt apart, so that every stratum has both;
// there are no more strata than the smaller side has pods.
func (s score) deal(t Tick, byInstance bool) score {
	s.Pods, s.Stable = slices.Clone(s.Pods), slices.Clone(s.Stable)
	for _, pod := range slices.Sorted(maps.Keys(t.Pods)) {
		switch hash := podHash(pod); {
		case t.Pods[pod][New].Requests > 0 || !byInstance:
			s.Pods = dealOne(s.Pods, hash)
		case t.Pods[pod][Old].Requests > 0:
			s.Stable = dealOne(s.Stable, hash)
		}
	}
	if s.K == 0 {
		s.K = min(maxStrata, len(s.Pods))
		if byInstance {
			s.K = min(s.K, len(s.Stable))
		}
	}
	return s
}

func dealOne(dealt []uint16, hash uint16) []uint16 {
	if len(dealt) >= dealtPods || slices.Contains(dealt, hash) {
		return dealt
	}
	return append(dealt, hash)
}

// stratum is where a pod's counts go.
func (s score) stratum(pod string) int {
	hash := podHash(pod)
	place := slices.Index(s.Pods, hash)
	if place < 0 {
		place = slices.Index(s.Stable, hash)
	}
	if place < 0 {
		place = int(hash)
	}
	return place % max(1, s.K)
}

func podHash(pod string) uint16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod))
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}

// pend adds a tick to the counts that wait for the next scoring; kept is the factor on refused requests.
func (s score) pend(t Tick, kept float64, byInstance bool) score {
	s = s.deal(t, byInstance)
	cells := make([]cell, max(1, s.K))
	copy(cells, s.Pending)
	for pod, sides := range t.Pods {
		i, c, o := s.stratum(pod), sides[New], sides[Old]
		cells[i].New = cells[i].New.plus(c, c.Errors-c.Refused*(1-kept), s.Latency)
		cells[i].Old = cells[i].Old.plus(o, o.Errors, s.Latency)
	}
	s.Pending = cells
	if s.PendingFrom == 0 {
		s.PendingFrom = t.From.UnixMilli()
	}
	return s
}

// due tells whether enough time has gathered to be scored.
func (s score) due(to time.Time, tick time.Duration) bool {
	return to.Sub(time.UnixMilli(s.PendingFrom)) >= tick-time.Second
}

// bucketWindow and bucketLeast are the depth of the bucket of refusals: ten minutes' worth, at least 30 (JUDGE.md section 6).
const (
	bucketWindow = 600.0
	bucketLeast  = 30.0
)

// refuse takes allowed refusals of the new side out of a bucket and gives the factor that is left of each of them.
func (s score) refuse(t Tick, allowed float64) (score, float64) {
	c := t.Total(New)
	if allowed <= 0 || c.Refused <= 0 {
		return s, 1
	}
	expected := c.Requests * bucketWindow / max(1, t.To.Sub(t.From).Seconds())
	if depth := max(bucketLeast, allowed*expected, s.Depth); depth > s.Depth {
		s.Credit, s.Depth = s.Credit+depth-s.Depth, depth
	}
	s.Credit = min(s.Depth, s.Credit+allowed*c.Requests)
	free := min(c.Refused, s.Credit)
	s.Credit -= free
	return s, 1 - free/c.Refused
}

// remember adds what the old policy did: it is the history that the bake and the fold are compared with.
func (s score) remember(kind StepKind, t Tick) score {
	if kind == StepBake || kind == StepFold {
		return s
	}
	old := t.Total(Old)
	if kind == StepStage {
		old = old.Plus(t.Total(New)) // identical halves: both are the old policy
	}
	s.BaseN, s.BaseX, s.Timed = s.BaseN+old.Requests, s.BaseX+old.Errors, s.Timed+old.Timed
	s.Tails = addTails(s.Tails, old.Slow)
	return s
}

// noteShare adds a tick to the sums behind the standard error of the share.
func (s score) noteShare(t Tick) score {
	c, n := t.Total(New).Requests, t.Total(New).Requests+t.Total(Old).Requests
	for i, v := range [3]float64{c * c, c * n, n * n} {
		s.Shares[i] += v
	}
	return s
}

// shareError is the standard error of the share: the larger of the binomial one and the one that the ticks show, since
// one id that is passed on fans out to many requests (ANALYSIS.md, amendment 7).
func (s score) shareError(share, n float64, ticks int) float64 {
	if n <= 0 {
		return math.Inf(1)
	}
	binomial := math.Sqrt(share * (1 - share) / n)
	if ticks < 2 {
		return binomial
	}
	spread := s.Shares[0] - 2*share*s.Shares[1] + share*share*s.Shares[2]
	shown := math.Sqrt(max(0, spread)*float64(ticks)/float64(ticks-1)) / n
	return max(binomial, shown)
}
