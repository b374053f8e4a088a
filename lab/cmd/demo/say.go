package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// sayer prints meshpol's events as short lines while they come.
func sayer() func(trial.Event) {
	began := time.Now()
	return func(e trial.Event) {
		if line := sayLine(e); line != "" {
			fmt.Printf("  %5.1fs  %s\n", time.Since(began).Seconds(), line)
		}
	}
}

func sayLine(e trial.Event) string {
	switch e.Event {
	case "stepStarted":
		return "step " + e.Text("name")
	case "stepPassed", "judged":
		return verdictLine(e)
	case "takingBack":
		return "TAKING BACK: " + e.Text("reason")
	case "ended":
		return "ended: " + e.Text("phase")
	case "warned":
		return "warning: " + e.Text("text")
	}
	return ""
}

func verdictLine(e trial.Event) string {
	j, _ := e.Fields["judgement"].(map[string]any)
	verdict, _ := j["verdict"].(string)
	reason, _ := j["reason"].(string)
	if e.Event == "judged" && verdict != "Fail" {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("     %s: %s", verdict, reason))
}
