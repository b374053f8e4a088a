package simulate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/meshpol/meshpol/internal/traffic"
)

// Harm is what the new policy does to the requests under it. The zero value does nothing.
type Harm struct {
	// Text is how it was written: errors=5x.
	Text string `json:"text,omitempty"`
	// Times multiplies the share of errors, 0 being 1; More is added to it; Fail is the share that fails on top.
	Times float64 `json:"times,omitempty"`
	More  float64 `json:"more,omitempty"`
	Fail  float64 `json:"fail,omitempty"`
	// Slower is what latencies grow by: 0.5 is half as much again.
	Slower float64 `json:"slower,omitempty"`
	// Hang tells that requests never end, so that nothing counts them; Silent that they are well, but are not counted.
	Hang   bool `json:"hang,omitempty"`
	Silent bool `json:"silent,omitempty"`
	// Whole tells that it is done only while all requests are under the policy: what is wrong with the folded object, or
	// what the last requests of all make too much.
	Whole bool `json:"whole,omitempty"`
}

// None tells whether it does nothing.
func (h Harm) None() bool {
	return h.times() <= 1 && h.More <= 0 && h.Fail <= 0 && h.Slower <= 0 && !h.Hang && !h.Silent
}

func (h Harm) times() float64 {
	if h.Times == 0 {
		return 1
	}
	return h.Times
}

// effect is what it does to requests of which a base share fails anyhow. What multiplies errors comes in their clumps,
// what breaks requests breaks each by itself; those that it makes slower than a bound count as harmed.
func (h Harm) effect(base, bound float64) traffic.Effect {
	return traffic.Effect{More: min(1, max(0, base*(h.times()-1)+h.More)), Fail: h.Fail, Slower: h.Slower, Bound: bound}
}

// and puts two harms together.
func (h Harm) and(g Harm) Harm {
	return Harm{Text: strings.TrimPrefix(h.Text+" "+g.Text, " "), Times: h.times() * g.times(), More: h.More + g.More,
		Fail: h.Fail + g.Fail - h.Fail*g.Fail, Slower: (1+h.Slower)*(1+g.Slower) - 1, Hang: h.Hang || g.Hang, Silent: h.Silent || g.Silent}
}

// ParseHarms reads harms that come together: errors=5x, errors=+2%, latency=+50%, fail=90%, hang, silent.
func ParseHarms(texts []string) (Harm, error) {
	var sum Harm
	for i, text := range texts {
		h, err := parseHarm(text)
		if err != nil {
			return Harm{}, err
		}
		h.Text = text
		if i == 0 {
			sum = h
			continue
		}
		sum = sum.and(h)
	}
	return sum, nil
}

func parseHarm(text string) (Harm, error) {
	kind, size, _ := strings.Cut(text, "=")
	switch {
	case text == "hang":
		return Harm{Hang: true}, nil
	case text == "silent":
		return Harm{Silent: true}, nil
	case kind == "errors" && strings.HasSuffix(size, "x"):
		times, err := number(strings.TrimSuffix(size, "x"), 1, 1e6)
		return Harm{Times: times}, about(text, err)
	case kind == "errors" && strings.HasPrefix(size, "+"):
		more, err := Percent(size[1:])
		return Harm{More: more}, about(text, err)
	case kind == "latency" && strings.HasPrefix(size, "+") && strings.HasSuffix(size, "%"):
		slower, err := number(strings.TrimSuffix(size[1:], "%"), 0, 1e6)
		return Harm{Slower: slower / 100}, about(text, err)
	case kind == "fail":
		fail, err := Percent(size)
		return Harm{Fail: fail}, about(text, err)
	}
	return Harm{}, fmt.Errorf("harm %q: write errors=5x, errors=+2%%, latency=+50%%, fail=90%%, hang or silent", text)
}

func about(text string, err error) error {
	if err != nil {
		return fmt.Errorf("harm %q: %w", text, err)
	}
	return nil
}

// Percent reads a share of requests: 0.1% is 0.001.
func Percent(text string) (float64, error) {
	digits, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	if !ok {
		return 0, fmt.Errorf("%q is no share: write it in percent, as in 0.1%%", text)
	}
	p, err := number(strings.TrimSpace(digits), 0, 100)
	return p / 100, err
}

// plain writes a number as people do, without an exponent.
func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func number(text string, least, most float64) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no number", text)
	case !(v >= least && v <= most): // written so that NaN is refused too
		return 0, fmt.Errorf("%s is out of range: write %s to %s", text, plain(least), plain(most))
	}
	return v, nil
}
