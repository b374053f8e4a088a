package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// sayer prints meshpol's events as short lines while they come. meshpol runs with -o json here, since the demo counts
// with the times of its events; run by hand it tells the same in words of its own.
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
	case "rehearsed":
		return fmt.Sprintf("every write and the way back accepted in a dry run: %.0f writes", number(e.Fields, "writes"))
	case "stepStarted":
		return "step " + e.Text("name") + ", " + text(e.Fields, "exposure", "text")
	case "wrote":
		return fmt.Sprintf("     %s %s %s: %s", e.Text("op"), text(e.Fields, "object", "kind"), text(e.Fields, "object", "name"), e.Text("why"))
	case "labelled":
		return fmt.Sprintf("     labels of client pods: %v", e.Fields["pods"])
	case "proved":
		return "     " + proofLine(e)
	case "stepPassed", "judged":
		return verdictLine(e)
	case "takingBack":
		return "TAKING BACK: " + e.Text("reason")
	case "neutralised":
		return fmt.Sprintf("     new policy out of force on %s; %.2f s after the decision", proofLine(e), number(e.Fields, "tookSeconds"))
	case "ended":
		return "ended: " + e.Text("phase")
	case "warned":
		return "warning: " + e.Text("text")
	}
	return ""
}

func proofLine(e trial.Event) string {
	p, _ := e.Fields["proof"].(map[string]any)
	return fmt.Sprintf("%.0f/%.0f proxies in %.2f s", number(p, "confirmed"), number(p, "concerned"), number(p, "tookSeconds"))
}

func verdictLine(e trial.Event) string {
	verdict, reason := text(e.Fields, "judgement", "verdict"), text(e.Fields, "judgement", "reason")
	switch {
	case e.Event == "judged" && verdict != "Fail":
		return ""
	case verdict == "":
		return "     " + reason
	}
	return strings.TrimRight(fmt.Sprintf("     %s: %s", verdict, reason), ": ")
}

func text(fields map[string]any, object, field string) string {
	o, _ := fields[object].(map[string]any)
	s, _ := o[field].(string)
	return s
}

func number(fields map[string]any, field string) float64 {
	n, _ := fields[field].(float64)
	return n
}
