package main

import (
	"fmt"
	"strings"

	"github.com/meshpol/meshpol/pkg/simulate"
)

// page is docs/analysis.md and its plots by file name.
func (s *study) page() (string, map[string]string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, `# Analysis

What the judge does with many services and many harms, and what the rules of Flagger, Argo Rollouts and Kayenta do with the same traffic. Every figure is simulated by the code behind [meshpol simulate](simulate.md), where traffic, harms and rules are described: %d rollouts a cell, seed 1, 12 s from a decision to its effect. Written by `+"`make analysis`"+`; do not edit.

What was seen in no run may still happen: after %d runs, 0 %% means below %s, with 95 %% confidence.

## A harmless policy, by service

The default canary: step 0, 1, 5, 25, 50 %%, bake, fold. *Pass at ≤ 2×*: the proof showed that the new error rate is below twice the old one; *weaker*: up to ten times.

`, s.runs, s.runs, percent(simulate.Tally{Runs: s.runs}.Upper(simulate.Failed)))
	if err := s.goodServices(&out); err != nil {
		return "", nil, err
	}
	out.WriteString(`
The others take 5 minutes (Flagger, Argo Rollouts) and 50 minutes (Kayenta) for a rollout that they do not take back.

## A harmless policy in trouble: taken back

200 requests per second, 0.1 % errors in clumps of 3, where nothing else is said. In the fold everything is under the new policy, so that it can only be compared with the time before: an outage of both sides that begins there looks like harm. In all other steps the old policy has the same outage.

`)
	if err := s.falseAlarms(&out); err != nil {
		return "", nil, err
	}
	out.WriteString(`
## A harmful policy

The same service. Each cell: share of the rollouts taken back for harm, median time from the first request under the policy until it was out; mean number of requests harmed, in all runs. A rule that does not find a harm stops counting when it has promoted the policy: a low number beside a low share is a miss.

`)
	reports, err := s.harmful(&out)
	if err != nil {
		return "", nil, err
	}
	out.WriteString(`
![Requests harmed until the policy is out](analysis-harmed.svg)

![Share of harmful rollouts taken back](analysis-found.svg)

## The five strategies

meshpol's judge on the same service; rolling moves eight pods, A/B a tenth of the requests.

`)
	if err := s.strategies(&out); err != nil {
		return "", nil, err
	}
	plots := map[string]string{
		"analysis-harmed.svg": bars("requests harmed, mean (logarithmic; pale: found in less than half of the runs)", reports, harmedBar),
		"analysis-found.svg":  bars("share of harmful rollouts taken back for harm", reports, foundBar),
	}
	return out.String(), plots, nil
}
