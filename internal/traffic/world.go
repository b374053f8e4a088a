package traffic

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/meshpol/meshpol/internal/draw"
)

// World is a service in time. The requests of an interval, their trouble and their noise depend on its seed and on the
// time alone; only how they are dealt between the sides depends on the shares.
type World struct {
	service Service
	seed    uint64
	hours   map[int]trouble
}

// NewWorld is a service whose every number is drawn from a seed.
func NewWorld(s Service, seed uint64) *World {
	return &World{service: s, seed: seed, hours: map[int]trouble{}}
}

// Pod is what a pod did in an interval. Dealt are the requests that came to its new side, of Requests in all.
type Pod struct {
	Requests, Dealt int
	New, Old        Side
}

// Pass draws an interval between two times since the start, under a weather, in which each pod has a share of its
// requests on the new side, with an effect on them.
func (w *World) Pass(from, to time.Duration, sky Weather, shares []float64, e Effect) []Pod {
	s := w.service
	totals, dealt := source(w.seed, uint64(from)<<2|2), source(w.seed, uint64(from)<<2|3)
	mean, fan := s.RPS*(to-from).Seconds()/float64(s.Pods), max(1, s.Fan)
	out := make([]Pod, s.Pods)
	for i := range out {
		n := draw.Poisson(totals, mean)
		noise := math.Exp(s.Noise * totals.NormFloat64())
		fresh := fan * draw.Binomial(dealt, n/fan, shares[i])
		if rest := n % fan; rest > 0 {
			fresh += rest * draw.Binomial(dealt, 1, shares[i])
		}
		burst := draw.Binomial(dealt, sky.Bursts[i], shares[i])
		out[i] = Pod{Requests: n, Dealt: fresh,
			Old: s.side(dealt, n-fresh, sky.Bursts[i]-burst, sky, i, noise, Effect{}),
			New: s.side(dealt, fresh, burst, sky, i, noise, e)}
	}
	return out
}

// source is a generator of its own for a purpose, so that what one part draws moves nothing in another.
func source(seed, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(Stir(seed), Stir(seed^Stir(purpose))))
}

// Stir is the finalizer of SplitMix64: near seeds give far ones.
func Stir(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
