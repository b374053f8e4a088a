package printer

import (
	"encoding/json"
	"io"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// jsonLines writes events by the schema of the package comment. The wire types are separate from the event types, so
// that renaming a field there cannot change what programs read here.
type jsonLines struct{ out io.Writer }

// line is the wire form of every event; a field that an event does not have is left out.
type line struct {
	Event   string        `json:"event"`
	At      time.Time     `json:"at"`
	Rollout string        `json:"rollout"`
	Target  policy.Target `json:"target"`

	Digest    string             `json:"digest,omitempty"`
	Index     *int               `json:"index,omitempty"`
	Steps     *int               `json:"steps,omitempty"`
	Resumed   *bool              `json:"resumed,omitempty"`
	Notes     []string           `json:"notes,omitempty"`
	Writes    *int               `json:"writes,omitempty"`
	Name      string             `json:"name,omitempty"`
	Step      string             `json:"step,omitempty"`
	Exposure  *wireExposure      `json:"exposure,omitempty"`
	Reach     string             `json:"reach,omitempty"`
	Asked     string             `json:"asked,omitempty"`
	Again     bool               `json:"again,omitempty"`
	Object    *rollout.Ref       `json:"object,omitempty"`
	Op        rollout.Op         `json:"op,omitempty"`
	Conflicts []string           `json:"conflicts,omitempty"`
	Pods      []string           `json:"pods,omitempty"`
	Added     *bool              `json:"added,omitempty"`
	Proof     *wireProof         `json:"proof,omitempty"`
	Why       *string            `json:"why,omitempty"`
	Judgement *metrics.Judgement `json:"judgement,omitempty"`
	Trip      *metrics.Trip      `json:"trip,omitempty"`
	Phase     rollout.Phase      `json:"phase,omitempty"`
	Cause     rollout.Cause      `json:"cause,omitempty"`
	Reason    *string            `json:"reason,omitempty"`
	Exposed   *string            `json:"exposed,omitempty"`
	Text      *string            `json:"text,omitempty"`
	Took      *float64           `json:"tookSeconds,omitempty"`
	Next      string             `json:"next,omitempty"`
	Requests  int                `json:"requests,omitempty"`

	RequestsByResource map[string]int `json:"requestsByResource,omitempty"`
}

type wireExposure struct {
	Mode  policy.Mode `json:"mode"`
	By    policy.By   `json:"by"`
	Share float64     `json:"share,omitempty"`
	Text  string      `json:"text"`
}

type wireProof struct {
	Confirmed   int             `json:"confirmed"`
	Concerned   int             `json:"concerned"`
	Unconcerned int             `json:"unconcerned"`
	Took        float64         `json:"tookSeconds"`
	Stragglers  []string        `json:"stragglers,omitempty"`
	Rejected    []wireRejection `json:"rejected,omitempty"`
}

type wireRejection struct {
	Proxy   string `json:"proxy"`
	Message string `json:"message"`
}

// Emit writes one event. A failing printer must not stop a rollout, so the error of a write is dropped.
func (j *jsonLines) Emit(e rollout.Event) {
	b, err := json.Marshal(wire(e))
	if err != nil {
		text := "an event could not be encoded: " + err.Error()
		b, _ = json.Marshal(line{Event: "warned", At: headOf(e).At.UTC(), Rollout: headOf(e).Rollout, Target: headOf(e).Target, Text: &text})
	}
	_, _ = j.out.Write(append(b, '\n'))
}

func wire(e rollout.Event) line {
	h := headOf(e)
	l := line{At: h.At.UTC(), Rollout: h.Rollout, Target: h.Target}
	switch e := e.(type) {
	case rollout.Started:
		l.Event, l.Digest, l.Steps, l.Resumed, l.Notes = "started", e.Digest, &e.Steps, &e.Resumed, e.Notes
	case rollout.Rehearsed:
		l.Event, l.Writes, l.Took = "rehearsed", &e.Writes, inSeconds(e.Took)
	case rollout.StepStarted:
		l.Event, l.Index, l.Steps, l.Name = "stepStarted", &e.Index, &e.Steps, e.Name
		l.Reach, l.Asked, l.Again = e.Reach, e.Asked, e.Again
		l.Exposure = &wireExposure{Mode: e.Exposure.Mode, By: e.Exposure.By, Share: e.Exposure.Share, Text: e.Exposure.String()}
	case rollout.Wrote:
		l.Event, l.Object, l.Op, l.Why = "wrote", &e.Object, e.Op, &e.Why
	case rollout.Labelled:
		l.Event, l.Pods, l.Added = "labelled", e.Pods, &e.Added
	case rollout.Proved:
		l.Event, l.Proof, l.Why = "proved", wireProofOf(e.Proof), &e.Why
	case rollout.Judged:
		l.Event, l.Step, l.Judgement = "judged", e.Step, &e.Judgement
	case rollout.Tripped:
		l.Event, l.Step, l.Trip = "tripped", e.Step, &e.Trip
	case rollout.StepPassed:
		l.Event, l.Step, l.Judgement, l.Requests = "stepPassed", e.Step, &e.Judgement, e.Requests
	default:
		wireTurn(&l, e)
	}
	return l
}

// wireTurn fills in the events after which a rollout does not simply go on.
func wireTurn(l *line, e rollout.Event) {
	switch e := e.(type) {
	case rollout.PausedEvent:
		l.Event, l.Reason, l.Exposed, l.Next = "paused", &e.Reason, &e.Exposed, e.Next
	case rollout.Resumed:
		l.Event, l.Reason = "resumed", &e.Reason
	case rollout.TakingBack:
		l.Event, l.Cause, l.Reason = "takingBack", e.Cause, &e.Reason
	case rollout.Neutralised:
		l.Event, l.Proof, l.Took = "neutralised", wireProofOf(e.Proof), inSeconds(e.Took)
	case rollout.Kept:
		l.Event, l.Object, l.Conflicts = "kept", &e.Object, e.Conflicts
	case rollout.Ended:
		l.Event, l.Phase, l.Cause, l.Reason, l.Took, l.Next = "ended", e.Phase, e.Cause, &e.Reason, inSeconds(e.Took), e.Next
		l.RequestsByResource = e.Requests
	case rollout.Warned:
		l.Event, l.Text = "warned", &e.Text
	}
}

func wireProofOf(p rollout.Proof) *wireProof {
	w := &wireProof{Confirmed: p.Confirmed, Concerned: p.Concerned, Unconcerned: p.Unconcerned, Took: p.Took.Seconds(), Stragglers: p.Stragglers}
	for _, r := range p.Rejected {
		w.Rejected = append(w.Rejected, wireRejection(r))
	}
	return w
}

func inSeconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}
