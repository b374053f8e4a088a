package rollout

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// Event is something that happened in a rollout. Its cases are the types of this file.
type Event interface{ event() }

// Head is what every event bears.
type Head struct {
	At      time.Time     `json:"at"`
	Rollout string        `json:"rollout"`
	Target  policy.Target `json:"target"`
}

// Started opens or continues a rollout.
type Started struct {
	Head
	Digest string `json:"digest"`
	Steps  int    `json:"steps"`
	// Resumed tells that it goes on from a state found in the cluster.
	Resumed bool `json:"resumed,omitempty"`
	// Notes are what a person should know before: populations at the fold, pools by request.
	Notes []string `json:"notes,omitempty"`
}

// Rehearsed says that the API server accepted every step and the way back in a dry run.
type Rehearsed struct {
	Head
	Writes int           `json:"writes"`
	Took   time.Duration `json:"took"`
}

// StepStarted begins a step.
type StepStarted struct {
	Head
	Index    int             `json:"index"`
	Steps    int             `json:"steps"`
	Name     string          `json:"name"`
	Exposure policy.Exposure `json:"exposure"`
	// Reach is how much that comes to: "1 % of requests", "1 pod (12.5 %)". Asked says what was asked for where that is
	// something else: "asked 1 % of 8 client pods".
	Reach string `json:"reach,omitempty"`
	Asked string `json:"asked,omitempty"`
	// Again tells that this run goes on in a step that an earlier one has begun.
	Again bool `json:"again,omitempty"`
}

// Wrote says that an object was written.
type Wrote struct {
	Head
	Object Ref    `json:"object"`
	Op     Op     `json:"op"`
	Why    string `json:"why"`
}

// Labelled says that pods entered or left the cohort.
type Labelled struct {
	Head
	Pods  []string `json:"pods"`
	Added bool     `json:"added"`
}

// Proved says that proxies hold a write.
type Proved struct {
	Head
	Proof Proof `json:"proof"`
	// Why is the write it proves, in words: "routes of step 1 %", "new policy out of force".
	Why string `json:"why"`
}

// Judged is a judgement of the current step.
type Judged struct {
	Head
	Step      string            `json:"step"`
	Judgement metrics.Judgement `json:"judgement"`
}

// Tripped says that the tripwire has found gross breakage; what follows of it is an event of its own.
type Tripped struct {
	Head
	Step string       `json:"step"`
	Trip metrics.Trip `json:"trip"`
}

// StepPassed ends a step.
type StepPassed struct {
	Head
	Step      string            `json:"step"`
	Judgement metrics.Judgement `json:"judgement"`
	// Requests were sent to the cluster since the step before ended; 0 where nobody counts them.
	Requests int `json:"requests,omitempty"`
}

// PausedEvent says that nothing moves until somebody decides.
type PausedEvent struct {
	Head
	Reason string `json:"reason"`
	// Exposed says what is in force meanwhile, Next how to go on.
	Exposed string `json:"exposed"`
	Next    string `json:"next"`
}

// Resumed says that a pause is over, and why.
type Resumed struct {
	Head
	Reason string `json:"reason"`
}

// TakingBack begins the way back.
type TakingBack struct {
	Head
	Cause  Cause  `json:"cause"`
	Reason string `json:"reason"`
}

// Neutralised says that the new policy is out of force on every proxy.
type Neutralised struct {
	Head
	Proof Proof         `json:"proof"`
	Took  time.Duration `json:"took"`
}

// Kept says that fields stay as somebody else set them.
type Kept struct {
	Head
	Object    Ref      `json:"object"`
	Conflicts []string `json:"conflicts"`
}

// Ended closes the rollout.
type Ended struct {
	Head
	Phase  Phase         `json:"phase"`
	Cause  Cause         `json:"cause,omitempty"`
	Reason string        `json:"reason"`
	Took   time.Duration `json:"took"`
	Next   string        `json:"next,omitempty"`
	// Requests are all that were sent to the cluster until now, by verb and resource ("get leases"), those of reading
	// and rehearsing included; nil where nobody counts them.
	Requests map[string]int `json:"requests,omitempty"`
}

// Warned is something that a person should know and that stops nothing.
type Warned struct {
	Head
	Text string `json:"text"`
}

func (Started) event()     {}
func (Rehearsed) event()   {}
func (StepStarted) event() {}
func (Wrote) event()       {}
func (Labelled) event()    {}
func (Proved) event()      {}
func (Judged) event()      {}
func (Tripped) event()     {}
func (StepPassed) event()  {}
func (PausedEvent) event() {}
func (Resumed) event()     {}
func (TakingBack) event()  {}
func (Neutralised) event() {}
func (Kept) event()        {}
func (Ended) event()       {}
func (Warned) event()      {}
