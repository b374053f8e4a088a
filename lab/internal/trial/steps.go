package trial

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// Step is one step of a run as its events tell it, with the interval in which its exposure was in force everywhere.
type Step struct {
	Name, By, Mode string
	// Share is the share asked for; Window the cohort of requests, as the policy says; only by request.
	Share float64
	// From is when the last proxy confirmed, To when the step ended.
	From, To time.Time
	// Confirmed of Concerned proxies in Took.
	Confirmed, Concerned int
	Took                 time.Duration
	Reason               string
}

// Steps reads the steps of a run from its events.
func (r *Run) Steps() []Step {
	var out []Step
	for _, e := range r.Events() {
		switch {
		case e.Event == "stepStarted":
			out = append(out, stepOf(e))
		case len(out) == 0:
		case e.Event == "proved" && out[len(out)-1].To.IsZero(): // later ones are of the way back
			out[len(out)-1].proved(e)
		case e.Event == "stepPassed":
			s := &out[len(out)-1]
			s.To, s.Reason = e.At, judgementReason(e)
		case e.Event == "takingBack" && out[len(out)-1].To.IsZero():
			s := &out[len(out)-1]
			s.To, s.Reason = e.At, e.Text("reason")
		}
	}
	return out
}

func stepOf(e Event) Step {
	var line struct {
		Name     string `json:"name"`
		Exposure struct {
			Mode, By string
			Share    float64
		} `json:"exposure"`
	}
	decode(e, &line)
	return Step{Name: line.Name, By: line.Exposure.By, Mode: line.Exposure.Mode, Share: line.Exposure.Share}
}

func (s *Step) proved(e Event) {
	var line struct {
		Proof struct {
			Confirmed, Concerned int
			TookSeconds          float64
		} `json:"proof"`
	}
	decode(e, &line)
	s.From, s.Confirmed, s.Concerned = e.At, line.Proof.Confirmed, line.Proof.Concerned
	s.Took = time.Duration(line.Proof.TookSeconds * float64(time.Second))
}

func judgementReason(e Event) string {
	var line struct {
		Judgement struct{ Reason string } `json:"judgement"`
	}
	decode(e, &line)
	return line.Judgement.Reason
}

func decode(e Event, into any) {
	b, err := json.Marshal(e.Fields)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		panic(fmt.Sprintf("event %s of meshpol does not decode: %v", e.Event, err)) // a trial cannot go on without it
	}
}

// Seen is what the clients saw of a step.
type Seen struct {
	Step
	// New of Total requests met the new policy.
	New, Total int
}

// Share is the share really seen, 0 to 1.
func (s Seen) Share() float64 {
	if s.Total == 0 {
		return 0
	}
	return float64(s.New) / float64(s.Total)
}

// Sigmas is how many standard errors the share seen is off the one asked for.
func (s Seen) Sigmas() float64 {
	p := s.Step.Share
	if s.Total == 0 || p <= 0 || p >= 1 {
		return 0
	}
	return (s.Share() - p) / math.Sqrt(p*(1-p)/float64(s.Total))
}

// See counts the requests of a step that met the new policy, among those of which the predicates can tell.
func See(log referee.Log, step Step, tells, isNew referee.Predicate) Seen {
	out := Seen{Step: step}
	for _, rec := range referee.Between(log.Records, referee.Interval{From: step.From, Until: step.To}) {
		if !tells(rec) {
			continue
		}
		out.Total++
		if isNew(rec) {
			out.New++
		}
	}
	return out
}
