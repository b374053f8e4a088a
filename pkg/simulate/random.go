package simulate

import "math/rand/v2"

// source is a generator of its own for a purpose, so that what one part draws moves nothing in another.
func source(seed, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(stir(seed), stir(seed^stir(purpose))))
}

// stir is the finalizer of SplitMix64: near seeds give far ones.
func stir(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
