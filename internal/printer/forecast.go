package printer

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// ForecastView is what a plan may promise.
type ForecastView struct {
	metrics.Forecast
	// Unknown says why there is no forecast; empty where there is one.
	Unknown string
	// Limit is the largest bound that the proof accepts.
	Limit float64
	// Accepted tells that the rollout goes on where the proof shows too little.
	Accepted bool
}

// ForecastDocument is a forecast as a document; times are in seconds.
type ForecastDocument struct {
	// Unknown says why there is none; the rest is absent then.
	Unknown string `json:"unknown,omitempty"`
	// RequestsPerSecond is what is expected; ErrorRate and Clumping are of the past, HistorySeconds of it.
	RequestsPerSecond float64 `json:"requestsPerSecond,omitempty"`
	ErrorRate         float64 `json:"errorRate,omitempty"`
	Clumping          float64 `json:"clumping,omitempty"`
	HistorySeconds    float64 `json:"historySeconds,omitempty"`
	// ExpectedSeconds is the time of a policy that does no harm, LongestSeconds where every step takes all of its time.
	ExpectedSeconds float64 `json:"expectedSeconds,omitempty"`
	LongestSeconds  float64 `json:"longestSeconds,omitempty"`
	// Bound is the multiple of the old error rate that the proof is expected to show, after ProofSeconds; absent where it
	// shows none.
	Bound        float64        `json:"bound,omitempty"`
	ProofSeconds float64        `json:"proofSeconds,omitempty"`
	Harms        []HarmDocument `json:"harms,omitempty"`
	// Advice is what to do where the proof will end without a Pass.
	Advice string `json:"advice,omitempty"`
}

// HarmDocument is a harm with the requests that it costs until it is taken back.
type HarmDocument struct {
	// Harm is "2x" or "all".
	Harm     string  `json:"harm"`
	Requests float64 `json:"requests"`
}

func (v *ForecastView) document() *ForecastDocument {
	if v == nil {
		return nil
	}
	if v.Unknown != "" {
		return &ForecastDocument{Unknown: v.Unknown}
	}
	t := v.Traffic
	doc := &ForecastDocument{
		RequestsPerSecond: t.RPS, ErrorRate: t.ErrorRate, Clumping: t.Phi, HistorySeconds: v.Seconds,
		ExpectedSeconds: v.Expected.Seconds(), LongestSeconds: v.Longest.Seconds(), Bound: v.Bound, ProofSeconds: v.Proof.Seconds(),
		Advice: strings.Join(v.Advice(), "; "),
	}
	for _, h := range v.Harms {
		one := HarmDocument{Harm: fmt.Sprintf("%gx", h.Ratio), Requests: h.Requests}
		if h.All {
			one.Harm = "all"
		}
		doc.Harms = append(doc.Harms, one)
	}
	return doc
}

// lines are the forecast in words.
func (v *ForecastView) lines() []string {
	switch {
	case v == nil:
		return nil
	case v.Unknown != "":
		return []string{"forecast: none, " + v.Unknown}
	}
	t := v.Traffic
	out := []string{fmt.Sprintf("traffic: %.3g %s; in the last %s %s of them failed, %s",
		t.RPS, singular(t.RPS, "request/s", "requests/s"), span(time.Duration(v.Seconds*float64(time.Second))), share(t.ErrorRate, 1), clumpText(v.Forecast))}
	good := fmt.Sprintf("a good policy: about %s, at the longest %s without pauses", span(v.Expected), span(v.Longest))
	if len(v.Advice()) > 0 {
		good = fmt.Sprintf("a good policy: no Pass, at the longest %s without pauses", span(v.Longest))
	}
	if v.ProofMax > 0 {
		good += "; " + v.proofText()
	}
	out = append(out, good)
	if len(v.Harms) > 0 {
		out = append(out, "a bad policy: requests harmed until the judge takes it back: "+v.harmText())
	}
	for _, a := range v.Advice() {
		out = append(out, "advice: "+a)
	}
	return out
}

// Advice is what to do about a proof that will show too little; none where it will show enough.
func (v *ForecastView) Advice() []string {
	if v == nil || v.Unknown != "" || v.Accepted || v.ProofMax == 0 || (v.Bound > 0 && v.Bound <= v.Limit) {
		return nil
	}
	return []string{fmt.Sprintf("the proof will end without a Pass (it accepts up to %g×): give it hours (--step-max 2h), "+
		"set analysis.slo, or accept it (onInconclusive: promote)", v.Limit)}
}

func (v *ForecastView) proofText() string {
	at := fmt.Sprintf("the proof at %.3g %%", 100*v.Share)
	if v.Bound == 0 {
		return at + " cannot show a bound in " + span(v.ProofMax)
	}
	return fmt.Sprintf("%s can show errors below %g× after %s", at, v.Bound, span(v.Proof))
}

// clumpText says how errors come: φ times as scattered as independent ones.
func clumpText(f metrics.Forecast) string {
	switch phi := f.Traffic.Phi; {
	case f.Guessed:
		return fmt.Sprintf("too few to say how much they clump (factor %.2g is supposed)", phi)
	case phi <= 1:
		return "one by one"
	default:
		return fmt.Sprintf("in clumps (factor %.2g)", phi)
	}
}

func (v *ForecastView) harmText() string {
	var out []string
	for _, h := range v.Harms {
		name := fmt.Sprintf("%g× errors", h.Ratio)
		if h.All {
			name = "everything fails"
		}
		out = append(out, fmt.Sprintf("%s at %s", thousands(h.Requests), name))
	}
	return strings.Join(out, ", ")
}
