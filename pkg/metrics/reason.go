package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparison is the line that a verdict rests on: "new 92.1 % errors against 0.2 % (812 of 881 against 31 of 15,930
// requests), 15 s". Latency is spoken of where it is the suspicion: gross errors say more, and without a suspicion a
// person asks for errors first.
func (l look) comparison() string {
	if worst := l.worst(); worst != nil && worst.New.T > 0 && l.total() >= l.c.Hold && !l.gross() {
		what := fmt.Sprintf("above %g ms", worst.Bound)
		return compare(what, worst.New.X, worst.New.T, worst.Old.X, worst.Old.T) + ", " + seconds(l.elapsed)
	}
	c, s := l.fresh.New, l.fresh.Old
	if l.s.BaseN > 0 && (l.step.Kind == StepFold || s.Requests == 0) {
		return compare("errors", c.Errors, c.Requests, l.s.BaseX, l.s.BaseN) + " before, " + seconds(l.elapsed)
	}
	return compare("errors", c.Errors, c.Requests, s.Errors, s.Requests) + ", " + seconds(l.elapsed)
}

func compare(what string, xc, nc, xs, ns float64) string {
	if ns <= 0 {
		return fmt.Sprintf("new %s %s (%s of %s requests)", rate(xc, nc), what, number(xc), number(nc))
	}
	return fmt.Sprintf("new %s %s against %s (%s of %s against %s of %s requests)", rate(xc, nc), what, rate(xs, ns),
		number(xc), number(nc), number(xs), number(ns))
}

// tooFew says why a side does not have its requests when the time is over.
func (l look) tooFew(side Side, n, need float64) string {
	other := map[Side]Side{New: Old, Old: New}[side]
	seen := map[Side]int{New: l.s.Sides[0], Old: l.s.Sides[1]}
	switch {
	case seen[side]+seen[other] == 0:
		return "none of the series belongs to a side of this rollout"
	case seen[side] == 0:
		return fmt.Sprintf("only the %s side has series", other)
	case n == 0:
		return fmt.Sprintf("only the %s side counts requests (%s)", other, number(l.side(other).Requests))
	default:
		return l.progress(side, n, need) + " in " + seconds(l.elapsed)
	}
}

// progress is "12 of 20 requests"; the side is named where it is not the new one.
func (l look) progress(side Side, n, need float64) string {
	text := fmt.Sprintf("%s of %s requests", number(n), number(need))
	if side == Old {
		return text + " on the old side"
	}
	return text
}

// furthest names the pod whose share was furthest from the step's in the last interval, since it tells where to look.
func (l look) furthest() string {
	worst, far := "", 0.0
	for _, pod := range slices.Sorted(maps.Keys(l.tick.Pods)) {
		c, n := l.tick.Pods[pod][New].Requests, l.tick.Pods[pod][New].Requests+l.tick.Pods[pod][Old].Requests
		if off := math.Abs(c-n*l.step.Share) / math.Sqrt(max(1, n)); off > far {
			worst, far = fmt.Sprintf("; furthest off: %s with %s of %s requests in the last %s", pod, number(c), number(n), seconds(l.tick.To.Sub(l.tick.From))), off
		}
	}
	return worst
}

func boundText(shown, confidence float64) string {
	if math.IsInf(shown, 1) {
		all := margins()
		return fmt.Sprintf("no bound shown up to %s", times(all[len(all)-1]))
	}
	return fmt.Sprintf("at most %s the old rate or the floor (%.0f %%)", times(shown), confidence*100)
}

func times(m float64) string { return fmt.Sprintf("%g×", m) }

func rate(x, n float64) string {
	if n <= 0 {
		return "no"
	}
	return percent(x / n)
}

// percent has one place after the point, more for small shares: 92.1 %, 0.2 %, 0.031 %.
func percent(share float64) string {
	p := share * 100
	if p != 0 && p < 0.1 {
		return strconv.FormatFloat(p, 'g', 2, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// number is a whole number with commas: 15,930.
func number(v float64) string {
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}

// seconds is "15 s" up to two minutes, "2.5 min" beyond.
func seconds(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", max(0, d.Seconds()))
	}
	return strconv.FormatFloat(math.Round(d.Minutes()*10)/10, 'g', -1, 64) + " min"
}

// round3 keeps three digits: a score is no exact number to anybody.
func round3(v float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return short
}
