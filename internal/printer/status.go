package printer

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// StatusView is a rollout as it is stored in the cluster.
type StatusView struct {
	rollout.StoredState
	// Next overrides the command that is suggested.
	Next string
}

// StatusDocument is one rollout as a document.
type StatusDocument struct {
	Name     string        `json:"name"`
	Target   policy.Target `json:"target"`
	Strategy string        `json:"strategy"`
	Policies []policy.Key  `json:"policies,omitempty"`
	Phase    rollout.Phase `json:"phase"`
	// Step counts from 1; 0 where none has begun.
	Step     int              `json:"step"`
	Steps    int              `json:"steps"`
	Exposed  string           `json:"exposed,omitempty"`
	Verdict  metrics.Verdict  `json:"verdict,omitempty"`
	Cause    rollout.Cause    `json:"cause,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Digest   string           `json:"digest"`
	Revision int64            `json:"revision"`
	Started  time.Time        `json:"started,omitzero"`
	Updated  time.Time        `json:"updated,omitzero"`
	Deadline time.Time        `json:"deadline,omitzero"`
	Expired  bool             `json:"expired"`
	Holder   string           `json:"holder,omitempty"`
	Renewed  time.Time        `json:"renewed,omitzero"`
	Alive    bool             `json:"alive"`
	Touched  []rollout.Ref    `json:"touched,omitempty"`
	Results  []ResultDocument `json:"results,omitempty"`
	// Decided is what it was paused or taken back for.
	Decided *ResultDocument `json:"decided,omitempty"`
	Next    string          `json:"next"`
}

// ResultDocument is a finished step.
type ResultDocument struct {
	Name      string            `json:"name"`
	Judgement metrics.Judgement `json:"judgement"`
	// Confirmed proxies held the last write of the step after BarrierSeconds.
	Confirmed      int     `json:"confirmed"`
	BarrierSeconds float64 `json:"barrierSeconds"`
}

// alive tells whether somebody holds the lock.
func (v StatusView) alive(now time.Time) bool {
	return v.Lock.Holder != "" && now.Before(v.Lock.Renewed.Add(v.Lock.TTL))
}

// expired tells whether the dead man's deadline has passed with nobody at work.
func (v StatusView) expired(now time.Time) bool {
	return !v.State.Phase.Ended() && !v.State.Deadline.IsZero() && now.After(v.State.Deadline) && !v.alive(now)
}

// next is the command that a person needs now.
func (v StatusView) next(now time.Time) string {
	name := oneLine(v.State.Name) + " -n " + oneLine(v.State.Target.Namespace)
	switch {
	case v.Next != "":
		return oneLine(v.Next)
	case v.expired(now):
		return "meshpol rollout abort " + name
	case v.alive(now) && v.State.Phase == rollout.Paused && v.State.PauseUntil.IsZero():
		return nextCommand(v.State.Phase, rollout.Head{Rollout: v.State.Name, Target: v.State.Target})
	case v.alive(now):
		return "nothing, it is being worked on; to stop it: meshpol rollout abort " + name
	}
	switch v.State.Phase {
	case rollout.Succeeded:
		return "nothing; to go back: meshpol rollback " + name
	case rollout.RolledBack, rollout.Superseded:
		return "nothing"
	}
	return nextCommand(v.State.Phase, rollout.Head{Rollout: v.State.Name, Target: v.State.Target})
}

// inForce is what traffic meets now.
func (v StatusView) inForce() string {
	if v.State.Phase == rollout.RollingBack && v.State.Exposed == "" {
		return inForce(rollout.RolledBack, "")
	}
	return inForce(v.State.Phase, v.State.Exposed)
}

// unreadable tells that nobody knows the rollout's state: somebody has changed it, or a newer meshpol wrote it.
func (v StatusView) unreadable() bool {
	return v.State.Phase == rollout.Failed && v.State.Version == 0
}

// exposed is how much is in force, for a column.
func (v StatusView) exposed() string {
	switch v.State.Phase {
	case rollout.Succeeded:
		return "all traffic"
	case rollout.RolledBack:
		return "nothing"
	}
	return v.State.Exposed
}

// verdict is what the rollout was ended for, or the verdict of its last finished step. One that was taken back for
// another reason than a verdict has none.
func (v StatusView) verdict() metrics.Verdict {
	switch v.State.Cause {
	case "":
	case rollout.CauseBreach:
		return metrics.Fail
	case rollout.CauseInconclusive:
		return metrics.Inconclusive
	default:
		return ""
	}
	if n := len(v.State.Results); n > 0 {
		return v.State.Results[n-1].Judgement.Verdict
	}
	return ""
}

// StatusList writes many rollouts: one line each for people, a document for programs.
func (p *Printer) StatusList(views []StatusView, now time.Time) error {
	if p.format != Text {
		return p.statusDocument(views, now)
	}
	if len(views) == 0 {
		return p.write("no rollouts\n")
	}
	t := table{head: []string{"NAMESPACE", "NAME", "TARGET", "STRATEGY", "PHASE", "STEP", "EXPOSED", "VERDICT", "HOLDER", "SEEN"}}
	var shouts lines
	for _, v := range views {
		s := v.State
		t.rows = append(t.rows, []cell{
			{text: s.Target.Namespace}, {text: s.Name, style: p.styles.strong}, {text: targetName(s.Target)}, {text: s.Strategy},
			{text: string(s.Phase), style: p.styles.phase(s.Phase)}, {text: stepCount(s)}, {text: v.exposed()},
			{text: string(v.verdict()), style: p.styles.verdict(v.verdict())}, {text: v.holder(now)}, {text: seen(v.Lock, now)},
		})
		switch {
		case v.expired(now):
			shouts.add("%s", p.shout(v, now))
		case v.unreadable():
			shouts.add("%s", p.styles.paint(p.styles.bad, fmt.Sprintf("UNREADABLE: the state of %s in namespace %s: %s; what is in force is in its objects: kubectl get vs,dr -n %s",
				oneLine(s.Name), oneLine(s.Target.Namespace), oneLine(s.Reason), oneLine(s.Target.Namespace))))
		}
	}
	return p.write(t.text(p.styles, p.opts.Width) + shouts.String())
}

// Status writes everything about one rollout.
func (p *Printer) Status(v StatusView, now time.Time) error {
	if p.format != Text {
		return p.statusDocument([]StatusView{v}, now)
	}
	var out lines
	s := v.State
	out.add("%s of %s", p.styles.paint(p.styles.strong, "rollout "+oneLine(s.Name)), oneLine(s.Target.String()))
	if v.expired(now) {
		out.add("%s", p.shout(v, now))
	}
	for _, f := range p.statusFacts(v, now) {
		if f[1] != "" {
			out.add("  %-9s %s", f[0], f[1])
		}
	}
	if len(s.Results) > 0 {
		out.add("steps")
	}
	for i, r := range s.Results {
		out.add("  %d/%d %s", i+1, s.Steps, p.resultText(r))
	}
	out.add("next: %s", p.styles.paint(p.styles.accent, v.next(now)))
	return p.write(out.String())
}

// resultText is a finished step: "1 % · 6 proxies in 0.4 s · new … against … · Pass".
func (p *Printer) resultText(r rollout.StepResult) string {
	parts := []string{oneLine(r.Name), thousands(float64(r.Confirmed)) + " proxies in " + seconds(r.Barrier)}
	if r.Confirmed == 0 {
		parts = parts[:1]
	}
	if !tellsNumbers(r.Judgement.Reason) && r.Judgement.Verdict != "" {
		parts = append(parts, judgementText(r.Judgement))
	}
	return strings.Join(append(parts, p.styles.verdictText(r.Judgement)), " · ")
}

// statusFacts are the lines of the detailed view: a label and its value.
func (p *Printer) statusFacts(v StatusView, now time.Time) [][2]string {
	s := v.State
	var policies, touched []string
	for _, k := range s.Policies {
		policies = append(policies, k.String())
	}
	for _, o := range s.Touched {
		touched = append(touched, o.Ref.String())
	}
	phase := p.styles.paint(p.styles.phase(s.Phase), string(s.Phase))
	if s.Cause != "" {
		phase += ", " + causeText(s.Cause)
	}
	return [][2]string{
		{"phase", phase + because(s.Reason)},
		{"in force", v.inForce()},
		{"step", stepCount(s)},
		{"so far", soFar(s)},
		{"policies", some(policies, 10)},
		{"strategy", oneLine(s.Strategy)},
		{"writes to", some(touched, 10)},
		{"holder", v.holderText(now)},
		{"started", moment(s.Started, now)},
		{"ended", ended(s, now)},
		{"deadline", deadline(s, now)},
		{"plan", shortDigest(s.Digest)},
	}
}

// ended is when a rollout came to its end; empty while it has not.
func ended(s rollout.State, now time.Time) string {
	if !s.Phase.Ended() {
		return ""
	}
	return moment(s.Updated, now)
}

// soFar is the judgement of the step that runs, from the sums in its state.
func soFar(s rollout.State) string {
	if s.Phase.Ended() || s.Judge.Step != s.Step || (s.Judge.New.Requests == 0 && s.Judge.Old.Requests == 0) {
		return ""
	}
	elapsed := 0.0
	if !s.Since.IsZero() && s.Updated.After(s.Since) {
		elapsed = s.Updated.Sub(s.Since).Seconds()
	}
	return judgementText(metrics.Judgement{New: s.Judge.New, Old: s.Judge.Old, Elapsed: elapsed})
}

// shout is the line of a rollout that nobody looks after any more.
func (p *Printer) shout(v StatusView, now time.Time) string {
	text := fmt.Sprintf("EXPIRED: rollout %s of %s passed its deadline %s ago and nobody is at work; in force: %s; take it back: %s",
		oneLine(v.State.Name), oneLine(v.State.Target.String()), span(now.Sub(v.State.Deadline)), v.inForce(), v.next(now))
	return p.styles.paint(p.styles.bad, text)
}

func (v StatusView) holder(now time.Time) string {
	if !v.alive(now) {
		return "-"
	}
	return v.Lock.Holder
}

func (v StatusView) holderText(now time.Time) string {
	switch {
	case v.alive(now):
		return oneLine(v.Lock.Holder) + ", last sign of life " + seen(v.Lock, now)
	case v.Lock.Holder != "":
		return "nobody; the last was " + oneLine(v.Lock.Holder) + ", " + seen(v.Lock, now)
	default:
		return "nobody"
	}
}

// seen is the age of the last sign of life.
func seen(l rollout.Lock, now time.Time) string {
	if l.Renewed.IsZero() {
		return "-"
	}
	return span(max(now.Sub(l.Renewed), 0)) + " ago"
}

// moment is a time with its distance from now.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	text := t.UTC().Format("2006-01-02 15:04:05 UTC")
	if t.After(now) {
		return text + " (in " + span(t.Sub(now)) + ")"
	}
	return text + " (" + span(now.Sub(t)) + " ago)"
}

// deadline is when a rollout that still runs is to be over.
func deadline(s rollout.State, now time.Time) string {
	if s.Phase.Ended() {
		return ""
	}
	return moment(s.Deadline, now)
}

// stepCount is "2/6", or "-" where no step has begun.
func stepCount(s rollout.State) string {
	if s.Steps == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", stepNumber(s), s.Steps)
}

// stepNumber counts from 1; 0 where no step has begun.
func stepNumber(s rollout.State) int { return min(s.Step+1, s.Steps) }

// targetName is the target without its namespace, which has a column of its own.
func targetName(t policy.Target) string {
	return strings.TrimSpace(strings.ToLower(t.Kind) + " " + t.Name)
}

func (p *Printer) statusDocument(views []StatusView, now time.Time) error {
	docs := make([]StatusDocument, 0, len(views))
	for _, v := range views {
		docs = append(docs, v.document(now))
	}
	return p.document(map[string]any{"rollouts": docs})
}

func (v StatusView) document(now time.Time) StatusDocument {
	s := v.State
	doc := StatusDocument{
		Name: s.Name, Target: s.Target, Strategy: s.Strategy, Policies: s.Policies, Phase: s.Phase, Step: stepNumber(s), Steps: s.Steps,
		Exposed: s.Exposed, Verdict: v.verdict(), Cause: s.Cause, Reason: s.Reason, Digest: s.Digest, Revision: s.Revision,
		Started: s.Started, Updated: s.Updated, Deadline: s.Deadline, Expired: v.expired(now),
		Holder: v.Lock.Holder, Renewed: v.Lock.Renewed, Alive: v.alive(now), Next: v.next(now),
	}
	for _, t := range s.Touched {
		doc.Touched = append(doc.Touched, t.Ref)
	}
	for _, r := range s.Results {
		doc.Results = append(doc.Results, resultDocument(r))
	}
	if s.Decided != nil {
		decided := resultDocument(*s.Decided)
		doc.Decided = &decided
	}
	return doc
}

func resultDocument(r rollout.StepResult) ResultDocument {
	return ResultDocument{Name: r.Name, Judgement: r.Judgement, Confirmed: r.Confirmed, BarrierSeconds: r.Barrier}
}
