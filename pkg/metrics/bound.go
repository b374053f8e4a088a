package metrics

import "math"

// margins are the bounds that a proof can show, smallest first (JUDGE.md section 2).
func margins() [6]float64 { return [6]float64{1.5, 2, 3, 5, 10, 20} }

// mercies are the odds multipliers below 1 that the bound bets on.
func mercies() [4]float64 { return [4]float64{0.75, 0.5, 0.25, 0.1} }

// bounds holds the score against "the new rate is at least m times max(old rate, floor)", as logarithms per margin and
// multiplier. Both halves are e-processes under it for independent errors, so their mean is one; φ deflates it for
// clumps. It is anytime-valid, so the smallest margin that was rejected may be read off whenever one likes.
type bounds struct {
	Ratio [6][4]float64 `json:"ratio"`
	Floor [6][4]float64 `json:"floor"`
}

// add takes a tick in: xc of nc requests failed on the new side, xs of ns on the old one.
func (b bounds) add(xc, nc, xs, ns, floor, phi float64) bounds {
	for i, m := range margins() {
		q, top := nullShare(nc, ns, m), min(0.999, m*floor)
		for j, g := range mercies() {
			if nc > 0 && ns > 0 {
				b.Ratio[i][j] += (xc*math.Log(g) - (xc+xs)*math.Log1p((g-1)*q)) / phi
			}
			if nc > 0 && floor > 0 {
				b.Floor[i][j] += (xc*math.Log(g) - nc*math.Log1p((g-1)*top)) / phi
			}
		}
	}
	return b
}

// score is D_m of JUDGE.md section 2 for a margin's index.
func (b bounds) score(i int) float64 {
	sum := 0.0
	for j := range b.Ratio[i] {
		sum += math.Exp(min(500, b.Ratio[i][j])) + math.Exp(min(500, b.Floor[i][j]))
	}
	return sum / float64(2*len(b.Ratio[i]))
}

// shown is the smallest margin that the score rejects at a confidence, +Inf where none is.
func (b bounds) shown(confidence float64) float64 {
	for i, m := range margins() {
		if b.score(i) >= 1/(1-confidence) {
			return m
		}
	}
	return math.Inf(1)
}

func (b bounds) trimmed() bounds {
	for i := range b.Ratio {
		for j := range b.Ratio[i] {
			b.Ratio[i][j], b.Floor[i][j] = trimLog(b.Ratio[i][j]), trimLog(b.Floor[i][j])
		}
	}
	return b
}

// trimLog keeps four places of a logarithm, rounded down.
func trimLog(v float64) float64 { return math.Floor(v*1e4) / 1e4 }
