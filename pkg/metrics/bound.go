package metrics

import "math"

// margins are the bounds on the error rate that a proof can show, smallest first (JUDGE.md section 2).
func margins() [6]float64 { return [6]float64{1.5, 2, 3, 5, 10, 20} }

// slowMargins are the bounds on latency that a proof can show: so many times as slow as before.
func slowMargins() [6]float64 { return [6]float64{1.1, 1.2, 1.35, 1.5, 2, 3} }

// mercies are the odds multipliers below 1 that a bound bets on.
func mercies() [4]float64 { return [4]float64{0.75, 0.5, 0.25, 0.1} }

// downs are scores against "the new rate is at least m times another one", as logarithms, for six m and the four
// multipliers of mercies.
type downs [6][4]float64

// ratio takes a tick in against "m times the old side's rate": xc of nc requests were bad on the new side, xs of ns on
// the old one; m has been turned into a ratio of rates already. φ deflates for clumps.
func (d downs) ratio(ms [6]float64, xc, nc, xs, ns, phi float64) downs {
	if nc <= 0 || ns <= 0 {
		return d
	}
	for i, m := range ms {
		d[i] = bet(d[i], xc, xc+xs, nullShare(nc, ns, m), phi)
	}
	return d
}

// floor is the same against "m times the floor".
func (d downs) floor(ms [6]float64, xc, nc, floor, phi float64) downs {
	if nc <= 0 || floor <= 0 {
		return d
	}
	for i, m := range ms {
		d[i] = bet(d[i], xc, nc, min(0.999, m*floor), phi)
	}
	return d
}

func bet(logs [4]float64, x, n, p, phi float64) [4]float64 {
	for j, g := range mercies() {
		logs[j] += (x*math.Log(g) - n*math.Log1p((g-1)*p)) / phi
		logs[j] = max(-1e6, min(1e6, logs[j]))
	}
	return logs
}

// mean is the mixture over the multipliers.
func (d downs) mean(i int) float64 {
	sum := 0.0
	for _, v := range d[i] {
		sum += math.Exp(min(500, v))
	}
	return sum / float64(len(d[i]))
}

// bounds holds the score against "the new rate is at least m times max(old rate, floor)". Both halves are e-processes
// under it for independent errors, so their mean is one. It is anytime-valid, so the smallest margin that was rejected
// may be read off whenever one likes (JUDGE.md section 2, exact enumeration: E[D_m] ≤ 0.9997).
type bounds struct {
	Ratio downs `json:"r"`
	Floor downs `json:"f"`
}

// add takes a tick in: xc of nc requests failed on the new side, xs of ns on the old one.
func (b bounds) add(xc, nc, xs, ns, floor, phi float64) bounds {
	return bounds{Ratio: b.Ratio.ratio(margins(), xc, nc, xs, ns, phi), Floor: b.Floor.floor(margins(), xc, nc, floor, phi)}
}

// score is D_m of JUDGE.md section 2 for a margin's index.
func (b bounds) score(i int) float64 { return (b.Ratio.mean(i) + b.Floor.mean(i)) / 2 }

// shown is the smallest margin that the score rejects at a confidence, +Inf where none is.
func (b bounds) shown(confidence float64) float64 {
	for i, m := range margins() {
		if b.score(i) >= 1/(1-confidence) {
			return m
		}
	}
	return math.Inf(1)
}
