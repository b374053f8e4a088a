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

// harm is the line of the metric that tells most.
func (l look) harm() string {
	switch l.telling().name {
	case "latency":
		return l.slowest(false)
	case "slow":
		return l.slowObjective()
	default:
		return l.comparison()
	}
}

// slowest compares the requests above the latency bound that tells most.
func (l look) slowest(back bool) string {
	worst := l.worst(back)
	if worst == nil || worst.New.N <= 0 {
		return l.comparison()
	}
	what := "above"
	if l.fresh.New.Errors+l.fresh.Old.Errors > 0 {
		what = "failed or above"
	}
	return compare(fmt.Sprintf("%s %g ms", what, worst.Bound), worst.New, worst.Old, "") + ", " + seconds(l.elapsed)
}

func (l look) slowObjective() string {
	what := fmt.Sprintf("above the promised %g ms", l.c.LatencyObjective.Bound)
	return compare(what, l.s.Slow.New, l.s.Slow.Stable, "") + ", " + seconds(l.elapsed)
}

// comparison is the line that a verdict rests on: "new 4.1 % errors against 0.2 % (×20, at least ×8 with 99 %
// confidence), 812 of 19,800 against 31 of 15,930 requests, 45 s".
func (l look) comparison() string {
	c, s := half{N: l.fresh.New.Requests, X: l.fresh.New.Errors}, half{N: l.fresh.Old.Requests, X: l.fresh.Old.Errors}
	if before := l.s.before(l.c.Clumping); before.Requests > 0 && (l.step.bare() || s.N == 0) {
		return compare("errors", c, half{N: before.Requests, X: before.Errors}, "") + " before, " + seconds(l.elapsed)
	}
	ratio, least := l.ratio()
	if ratio > 0 && least >= l.c.ErrorTolerance && least <= ratio {
		return compare("errors", c, s, fmt.Sprintf("×%s, at least ×%g with %.0f %% confidence", short(ratio), least, ratioConfidence*100)) + ", " + seconds(l.elapsed) + l.refusals()
	}
	return compare("errors", c, s, "") + ", " + seconds(l.elapsed) + l.refusals()
}

// refusals says that most errors of the new side are what the policy itself refused or cut off, where that is not allowed.
func (l look) refusals() string {
	refused := l.fresh.New.Refused
	if l.c.AllowRefused > 0 || refused < 1 || refused < l.fresh.New.Errors/2 {
		return ""
	}
	return fmt.Sprintf("; %s of the new ones are the policy's own doing", number(refused))
}

// ratio is the new error rate over the old one in the step, and what it surely exceeds; 0 where nothing can be said.
func (l look) ratio() (ratio, least float64) {
	c, s := l.fresh.New, l.fresh.Old
	if c.Requests > 0 && s.Requests > 0 && s.Errors > 0 {
		ratio = c.Errors / c.Requests * s.Requests / s.Errors
	}
	if !l.step.bare() && l.step.Kind != StepStage {
		least = l.s.Ladder.least()
	}
	return round3(ratio), least
}

// short is a ratio with two digits: 1.5, 20, 460.
func short(v float64) string {
	text, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 2, 64), 64)
	if err != nil {
		return "?"
	}
	return strconv.FormatFloat(text, 'f', -1, 64)
}

func compare(what string, c, s half, ratio string) string {
	if s.N <= 0 {
		return fmt.Sprintf("new %s %s (%s of %s requests)", rate(c.X, c.N), what, number(c.X), number(c.N))
	}
	against := fmt.Sprintf("new %s %s against %s", rate(c.X, c.N), what, rate(s.X, s.N))
	counts := fmt.Sprintf("%s of %s against %s of %s requests", number(c.X), number(c.N), number(s.X), number(s.N))
	if ratio == "" {
		return against + " (" + counts + ")"
	}
	return against + " (" + ratio + "), " + counts
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
	case n == 0 && l.side(other).Requests == 0:
		return "neither side counts requests"
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

func boundText(shown, confidence, floor float64) string {
	if math.IsInf(shown, 1) {
		all := margins()
		return fmt.Sprintf("no bound shown up to %s", times(all[len(all)-1]))
	}
	return fmt.Sprintf("at most %s the larger of the old rate and the floor of %s (%.0f %%)", times(shown), percent(floor), confidence*100)
}

func slowText(shown float64) string {
	switch {
	case math.IsInf(shown, 1):
		all := slowMargins()
		return fmt.Sprintf("; no bound on latency shown up to %s", times(all[len(all)-1]))
	case shown > 1:
		return fmt.Sprintf("; at most %s as slow", times(shown))
	default:
		return ""
	}
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
