package printer

import (
	"cmp"
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// unproved tells that nobody was asked; a proof in which nobody was concerned took its time.
func unproved(p rollout.Proof) bool {
	return p.Concerned == 0 && p.Unconcerned == 0 && p.Took == 0 && len(p.Rejected) == 0 && len(p.Stragglers) == 0
}

// proofText is "6/6 proxies in 0.4 s", with the proxies that are missing or refuse.
func proofText(p rollout.Proof) string {
	if p.Concerned == 0 && len(p.Rejected) == 0 {
		return "no proxy is concerned"
	}
	text := fmt.Sprintf("%s/%s proxies in %s", thousands(float64(p.Confirmed)), thousands(float64(p.Concerned)), span(p.Took))
	if p.Unconcerned > 0 {
		text += fmt.Sprintf(" (%s cannot see the host)", thousands(float64(p.Unconcerned)))
	}
	if len(p.Stragglers) > 0 {
		text += "; missing: " + some(p.Stragglers, 5)
	}
	for _, r := range p.Rejected[:min(len(p.Rejected), 3)] {
		text += fmt.Sprintf("; refused by %s: %s", oneLine(r.Proxy), oneLine(r.Message))
	}
	if more := len(p.Rejected) - 3; more > 0 {
		text += fmt.Sprintf("; refused by %s more", thousands(float64(more)))
	}
	return text
}

// judgementText is "new 0.0 % errors (0 of 41) against 0.1 % (3 of 4,012), 60 s".
func judgementText(j metrics.Judgement) string {
	if j.New.Requests <= 0 && j.Old.Requests <= 0 {
		return "no requests, " + seconds(j.Elapsed)
	}
	left, right := "no requests under the new policy", "no requests under the old one"
	if j.New.Requests > 0 {
		left = "new " + share(j.New.Errors, j.New.Requests) + " errors (" + ofText(j.New) + ")"
	}
	if j.Old.Requests > 0 {
		right = "against " + share(j.Old.Errors, j.Old.Requests) + " (" + ofText(j.Old) + ")"
	}
	if j.New.Requests <= 0 || j.Old.Requests <= 0 {
		left += ","
	}
	return left + " " + right + ", " + seconds(j.Elapsed)
}

// ofText is "3 of 4,012", with the part that the policy itself refused.
func ofText(c metrics.Counts) string {
	text := thousands(c.Errors) + " of " + thousands(c.Requests)
	if c.Refused > 0 {
		text += ", " + thousands(c.Refused) + " refused by the policy"
	}
	return text
}

// judgement is the numbers and the verdict with its reason; the numbers only once, where the reason has them too.
func (t *textLines) judgement(j metrics.Judgement) []string {
	unjudged := j.Verdict == "" && j.New.Requests+j.Old.Requests == 0
	if unjudged || tellsNumbers(j.Reason) {
		return []string{t.styles.verdictText(j)}
	}
	return []string{judgementText(j), t.styles.verdictText(j)}
}

// tellsNumbers tells whether a judge's reason compares counts itself: "… (3 of 41 against 0 of 4,012 requests), 60 s", or
// "…, 3 of 41 against 0 of 4,012 requests, 60 s".
func tellsNumbers(reason string) bool {
	return strings.Contains(reason, " requests)") || strings.Contains(reason, " requests, ")
}

// verdictText is "Pass" in its colour, with the judge's reason.
func (s styles) verdictText(j metrics.Judgement) string {
	word, reason := string(j.Verdict), j.Reason
	switch j.Verdict {
	case "":
		return orElse(oneLine(reason), "not judged")
	case metrics.Wait:
		word, reason = "waiting", strings.TrimPrefix(reason, "waiting: ")
	case metrics.NoData:
		reason = strings.TrimPrefix(reason, "no data: ")
	case metrics.Inconclusive:
		reason = strings.TrimPrefix(reason, "inconclusive: ")
	}
	return s.paint(s.verdict(j.Verdict), word) + because(reason)
}

func (s styles) verdict(v metrics.Verdict) lipgloss.Style {
	switch v {
	case metrics.Pass:
		return s.good
	case metrics.Fail, metrics.Error:
		return s.bad
	case metrics.Wait, "":
		return s.dim
	default:
		return s.warn
	}
}

func (s styles) phase(p rollout.Phase) lipgloss.Style {
	switch p {
	case rollout.Succeeded:
		return s.good
	case rollout.RollingBack, rollout.RolledBack, rollout.Failed:
		return s.bad
	case rollout.Paused, rollout.AwaitingApproval:
		return s.warn
	default:
		return s.strong
	}
}

// exposedText says how much is in force: "1 % of requests", "bake, 95 % of requests".
func exposedText(name string, e policy.Exposure, reach string) string {
	text := oneLine(cmp.Or(reach, e.String()))
	if e.By == policy.ByInstance && strings.HasSuffix(name, "%") && reach != "" {
		return text // the name is the share that was asked for
	}
	if e.Mode == policy.Staged || name == "" || strings.HasPrefix(text, name) {
		return text
	}
	return oneLine(name) + ", " + text
}

func opWord(op rollout.Op) string {
	switch op {
	case rollout.Create:
		return "created"
	case rollout.Update:
		return "configured"
	case rollout.Delete:
		return "deleted"
	}
	return oneLine(string(op))
}

func causeText(c rollout.Cause) string {
	switch c {
	case rollout.CauseBreach:
		return "breach"
	case rollout.CausePerson:
		return "asked for by a person or a signal"
	case rollout.CauseTimeout:
		return "proxies did not take the change in time"
	case rollout.CauseInconclusive:
		return "no verdict"
	case rollout.CauseEdited:
		return "somebody else changed a touched object"
	case rollout.CauseLocked:
		return "an object belongs to another rollout"
	case rollout.CauseInternal:
		return "an error of meshpol or of the cluster"
	}
	return oneLine(string(c))
}

// inForce says what traffic meets once a rollout has ended, paused ones included. exposed is what was in force last.
func inForce(p rollout.Phase, exposed string) string {
	switch p {
	case rollout.Succeeded:
		return "the new policy, for all traffic"
	case rollout.RolledBack:
		return "the old policy"
	case rollout.Superseded:
		return "what the newer rollout says"
	case rollout.Failed:
		if exposed == "" {
			return "the old policy for requests, but something of the rollout is left in the cluster"
		}
		return "perhaps still " + newPolicyFor(exposed)
	}
	return newPolicyFor(exposed)
}

// nextCommand is the command that a person needs after a phase.
func nextCommand(p rollout.Phase, h rollout.Head) string {
	name := fmt.Sprintf("%s -n %s", oneLine(h.Rollout), oneLine(h.Target.Namespace))
	switch p {
	case rollout.Succeeded:
		return "meshpol status " + name + "; to go back: meshpol rollback " + name
	case rollout.Failed:
		return "meshpol rollout abort " + name
	case rollout.Paused:
		return "meshpol rollout resume " + name + ", or meshpol rollout abort " + name
	case rollout.RolledBack, rollout.Superseded:
		return "meshpol status " + name
	}
	return "meshpol rollout resume " + name
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// because is ": reason", or nothing.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + oneLine(reason)
}

// newPolicyFor says whom the new policy is in force for: nobody in the staged step.
func newPolicyFor(exposed string) string {
	switch {
	case exposed == "":
		return "not known"
	case exposed == "nothing":
		return "the old policy"
	case strings.HasPrefix(exposed, "staged"):
		return "the old policy (" + oneLine(exposed) + ")"
	}
	return "the new policy for " + oneLine(exposed)
}

// shortDigest is the part of a digest that people compare.
func shortDigest(digest string) string {
	algorithm, hex, ok := strings.Cut(oneLine(digest), ":")
	if !ok || len(hex) <= 12 {
		return oneLine(digest)
	}
	return algorithm + ":" + hex[:12]
}
