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

What the judge does with many services and many harms, and what the rules of Flagger, Argo Rollouts and Kayenta do with the same traffic. Every figure is simulated by the code behind [meshpol simulate](simulate.md), where traffic, harms and rules are described: %d rollouts a cell, seed 1, 12 s from a decision to its effect. The judge knows six hours of the old policy, with the same trouble, as where a Prometheus has them: one of %d drawn pasts a run. The tripwire watches by request. Written by `+"`make analysis`"+`; do not edit.

What was seen in no run may still happen: after %d runs, 0 %% means below %s, with 95 %% confidence.

## A harmless policy, by service

The default canary: step 0, 1, 5, 25, 50 %%, bake, fold. *Pass at ≤ 2×*: the proof showed that the new error rate is below twice the old one; *weaker*: up to ten times.

`, s.runs, histories, s.runs, percent(simulate.Tally{Runs: s.runs}.Upper(simulate.Failed)))
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
	if err := s.bare(&out); err != nil {
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
	if err := s.judgeAlone(&out); err != nil {
		return "", nil, err
	}
	plots := map[string]string{
		"analysis-harmed.svg": bars("requests harmed, mean (logarithmic; pale: found in less than half of the runs)", reports, harmedBar),
		"analysis-found.svg":  bars("share of harmful rollouts taken back for harm", reports, foundBar),
	}
	return out.String(), plots, nil
}

// bare writes the sections about steps without a holdback.
func (s *study) bare(out *strings.Builder) error {
	fmt.Fprintf(out, `
### Outages of both sides

The same service; in each outage 20 %% of all requests fail. What fails since the fold began is taken back; what begins to fail later in it is waited for, since it may be everybody's, and pauses if it does not end. A bake does not end while an outage lasts. %d rollouts a row.

`, manyRuns*s.runs)
	if err := s.outages(out); err != nil {
		return err
	}
	out.WriteString(`
### What begins when nobody is left under the old policy

In the fold of the default canary, or in a last step ` + "`setWeight: 100`" + `, which has a bake of 100 % behind it. Each cell: taken back, paused for a person, passed; requests harmed, mean, until then. The last column knows only what the old policy did during the rollout. The row of outages has ten times as many rollouts.

`)
	return s.noHoldback(out)
}

// judgeAlone writes the sections about single steps before the judge, beside the figures of its specification.
func (s *study) judgeAlone(out *strings.Builder) error {
	out.WriteString(`
## Step 0: identical halves that are not

Share of the rollouts in which step 0 finds the bias, after two and after five minutes; in brackets the figures of the specification, from its own simulation. 0.1 % errors in clumps of 3, three requests with one id, latency noise of 5 %. That a latency of +25 % takes until 2 min 45 s at 10,000 requests a second is the price of counting a failed request as a slow one ([deviations](design/judge.md#deviations)): the failures of both halves lie above the last bound, where the bias is clearest.

`)
	if err := s.stages(out); err != nil {
		return err
	}
	out.WriteString(`
## Refusals that the policy makes by design

0.5 % are allowed; 0.1 % errors, 30 minutes in one step. Share of the rollouts taken back, and the median time.

`)
	if err := s.refusals(out); err != nil {
		return err
	}
	out.WriteString(`
## An objective of 99.9 %

Two requests a second on the new side, one hour, the whole error budget on the objective: a burn rate of 14.4 (1.44 % failing) is harm. The specification's own simulation had no guard against a single pod.

`)
	return s.burning(out)
}
