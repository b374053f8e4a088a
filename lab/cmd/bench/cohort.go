package main

import (
	"encoding/json"
	"strings"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// cohorts follows the labelled pods through a rollout by instance.
type cohorts struct {
	byInstance bool
	pods       map[string]bool
	in         referee.Interval
}

// placePods counts, from the proof of each step by instance to its end, the requests of client pods that took another
// route than the pod's label says.
func placePods(calls []call, r *trial.Run) (total, misplaced int) {
	c := cohorts{pods: map[string]bool{}}
	for _, e := range r.Events() {
		if !c.take(e) {
			continue
		}
		for _, one := range callsIn(calls, c.in) {
			total++
			if strings.HasPrefix(one.route, clonePrefix) != c.pods[one.pod] {
				misplaced++
			}
		}
		c.in = referee.Interval{}
	}
	return total, misplaced
}

// take takes an event and tells whether it ends a step by instance whose requests can be judged.
func (c *cohorts) take(e trial.Event) bool {
	var line struct {
		Exposure struct{ By string }
		Pods     []string
		Added    bool
	}
	b, err := json.Marshal(e.Fields)
	if err != nil || json.Unmarshal(b, &line) != nil {
		return false
	}
	switch e.Event {
	case "stepStarted":
		c.byInstance = line.Exposure.By == "instance"
	case "labelled":
		for _, p := range line.Pods {
			c.pods[p] = line.Added
		}
	case "proved":
		c.in.From = e.At
	case "stepPassed":
		c.in.Until = e.At
		return c.byInstance && len(c.pods) > 0 && !c.in.From.IsZero()
	}
	return false
}
