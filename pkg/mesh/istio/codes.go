package istio

import (
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy"
)

// Code is a stable finding code of this package.
type Code struct {
	// Code is MP4xx where a live object is in the way, MP54x to MP56x where Istio cannot express something, MP57x for
	// notes that do not stop.
	Code string `json:"code"`
	// Title is the finding in one line, without the particulars.
	Title string `json:"title"`
	// Why says why it matters, Next what to do.
	Why  string `json:"why"`
	Next string `json:"next"`
}

const (
	codeNoService       = "MP440"
	codeHostElsewhere   = "MP441"
	codeSecondVS        = "MP442"
	codeOtherController = "MP443"
	codeHTTPRoute       = "MP444"
	codeNotHTTP         = "MP445"
	codeWildcardVS      = "MP446"
	codeMixedHosts      = "MP447"
	codeHeaderTaken     = "MP448"
	codeNoRoute         = "MP449"
	codeHiddenRule      = "MP450"
	codeSeveralRules    = "MP451"
	codeSelectorRule    = "MP452"
	codeRuleNotExported = "MP453"
	codeDelegateMatch   = "MP454"
	codeLeftovers       = "MP455"
	codeNoPort          = "MP456"
	codeNameCollision   = "MP457"
	codeMissingSubset   = "MP458"

	codeKind          = "MP540"
	codeTarget        = "MP541"
	codeExposure      = "MP542"
	codeIdle          = "MP543"
	codeBackoff       = "MP544"
	codeMaxEjection   = "MP545"
	codeFraction      = "MP546"
	codeBreakerRoute  = "MP547"
	codeNarrowing     = "MP548"
	codeOverlap       = "MP549"
	codeSameKind      = "MP550"
	codeNoRouteStats  = "MP551"
	codeValue         = "MP552"
	codeNoTimeout     = "MP553"
	codeNotByInstance = "MP554"
	codeStrategyMatch = "MP555"
	codeNothingToDo   = "MP556"

	noteShareOfPool  = "MP570"
	noteSharedPrefix = "MP571"
	noteOutsideVS    = "MP572"
	noteCopiedRule   = "MP573"
	noteGRPC         = "MP574"
	noteTimeoutGone  = "MP575"
	noteFilterByName = "MP576"
)

// Codes lists every code that this package gives, in order.
func Codes() []Code {
	return slices.Concat(serviceMeanings(), objectMeanings(), fieldMeanings(), targetMeanings(), noteMeanings())
}

// Severity is error, or note for what does not stop.
func (c Code) Severity() string {
	if strings.HasPrefix(c.Code, "MP57") {
		return "note"
	}
	return "error"
}

// refusal makes the error for a policy; the mesh's version is filled in by Compile.
func refusal(code string, key policy.Key, field, reason, next string) *policy.UnsupportedError {
	return &policy.UnsupportedError{Code: code, Policy: key, Field: field, Reason: reason, Next: next}
}

func note(code, text string) string { return code + ": " + text }
