package metrics

import "math"

// shares are the sums over ticks of the deviation of the new side's share from the one asked for: their number, sum and
// sum of squares. Ticks, not requests, are the unit: one id that is passed on fans out to many calls, so requests are
// not independent (ANALYSIS.md, amendment 7).
type shares [3]float64

func (s shares) add(nc, ns, asked float64) shares {
	if nc+ns <= 0 {
		return s
	}
	z := nc/(nc+ns) - asked
	return shares{s[0] + 1, s[1] + z, s[2] + z*z}
}

// mean is the mean deviation so far.
func (s shares) mean() float64 { return s[1] / max(1, s[0]) }

// off is the mean deviation, and whether it is significant at 0.1 % by Student's t over the ticks.
func (s shares) off() (mean float64, significant bool) {
	n := s[0]
	if n < 2 {
		return 0, false
	}
	mean = s[1] / n
	variance := max(0, s[2]-n*mean*mean) / (n - 1)
	return mean, math.Abs(mean) > studentT(int(n)-1)*math.Sqrt(variance/n)
}

// studentT is the two-sided 0.1 % point of Student's t: a table for few degrees of freedom, then the expansion of Cornish
// and Fisher around the normal point 3.2905.
func studentT(df int) float64 {
	few := []float64{636.6, 31.6, 12.92, 8.610, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587}
	if df < 1 {
		return math.Inf(1)
	}
	if df <= len(few) {
		return few[df-1]
	}
	x, d := 3.2905, float64(df)
	return x + (x*x*x+x)/(4*d) + (5*math.Pow(x, 5)+16*x*x*x+3*x)/(96*d*d)
}
