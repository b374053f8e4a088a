package printer

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// waitEvery is how often a judgement that says nothing new makes a line of its own where lines cannot overwrite
// themselves: often enough to see life, seldom enough to read the log of a bake.
const waitEvery = time.Minute

// usualWidth is the width of a terminal that does not tell its own.
const usualWidth = 80

// clearLine goes back to the start of the terminal's line and empties it.
const clearLine = "\r\x1b[2K"

// The labels of event lines.
const (
	labelStart    = "start"
	labelDryRun   = "dry run"
	labelWarning  = "warning"
	labelPaused   = "paused"
	labelResumed  = "resumed"
	labelRollback = "rollback"
	labelKept     = "kept"
	labelDone     = "done"
)

// textLines writes events as lines for people. Each target has a run of its own, so that rollouts may be interleaved.
type textLines struct {
	out    io.Writer
	opts   Options
	styles styles
	runs   map[string]*run
	// passing tells that the line on the terminal may be overwritten.
	passing bool
}

// run is what is known of one rollout from its events so far.
type run struct {
	head          rollout.Head
	started       time.Time
	index, steps  int
	name, exposed string
	proof         *rollout.Proof
	judged        metrics.Judgement
	said          time.Time
	// back tells that it is being taken back, paused that the pause was told with all there is to it.
	back, paused bool
	// unproved tells that the old policy is back in the objects, and not proved on the proxies.
	unproved bool
}

// Emit writes one event.
func (t *textLines) Emit(e rollout.Event) {
	switch e := e.(type) {
	case rollout.Started:
		t.begin(e)
	case rollout.Rehearsed:
		t.minor(t.of(e.Head), labelDryRun, fmt.Sprintf("every step and the way back: %s accepted by the API server, %s", plural(e.Writes, "write", "writes"), span(e.Took)))
	case rollout.StepStarted:
		t.step(e)
	case rollout.Wrote:
		r := t.of(e.Head)
		t.minor(r, r.label(), opWord(e.Op)+" "+oneLine(e.Object.String())+because(e.Why))
	case rollout.Labelled:
		t.labelled(e)
	case rollout.Proved:
		t.proved(e)
	case rollout.Judged:
		t.judged(e)
	case rollout.Tripped:
		t.tripped(e)
	case rollout.StepPassed:
		t.passed(e)
	default:
		t.emitTurn(e)
	}
}

// emitTurn writes the events after which a rollout does not simply go on.
func (t *textLines) emitTurn(e rollout.Event) {
	switch e := e.(type) {
	case rollout.PausedEvent:
		t.paused(e)
	case rollout.Resumed:
		r := t.of(e.Head)
		r.paused = false
		t.line(r, labelResumed, oneLine(e.Reason))
	case rollout.TakingBack:
		t.takingBack(e)
	case rollout.Neutralised:
		t.neutralised(e)
	case rollout.Kept:
		t.kept(e)
	case rollout.Ended:
		t.ended(e)
	case rollout.Warned:
		r := t.of(e.Head)
		t.line(r, labelWarning, t.styles.paint(t.styles.warn, oneLine(e.Text)))
	}
}

// of is the run of an event; one that joins late starts its clock there.
func (t *textLines) of(h rollout.Head) *run {
	key := h.Target.String() + " " + h.Rollout
	r, ok := t.runs[key]
	if !ok {
		r = &run{started: h.At, index: -1}
		t.runs[key] = r
	}
	r.head = h
	return r
}

func (t *textLines) begin(e rollout.Started) {
	r := t.of(e.Head)
	r.started, r.steps = e.At, e.Steps
	verb := "rollout"
	r.paused = false
	if e.Resumed {
		verb = "going on with rollout"
	}
	t.minor(r, labelStart, fmt.Sprintf("%s %s of %s, %s, %s, plan %s", verb, t.styles.paint(t.styles.strong, oneLine(e.Rollout)),
		oneLine(e.Target.String()), plural(e.Steps, "step", "steps"), e.At.UTC().Format("2006-01-02 15:04:05 UTC"), shortDigest(e.Digest)))
	for _, n := range e.Notes {
		t.minor(r, labelStart, "note: "+oneLine(n))
	}
}

func (t *textLines) step(e rollout.StepStarted) {
	r := t.of(e.Head)
	r.index, r.steps, r.name, r.exposed = e.Index, e.Steps, e.Name, exposedText(e.Name, e.Exposure, e.Reach)
	r.paused = false
	r.proof, r.judged, r.said = nil, metrics.Judgement{}, e.At
	text := "begins: " + r.exposed
	if e.Again {
		text = "goes on: " + r.exposed
	}
	if e.Asked != "" {
		text += " (" + oneLine(e.Asked) + ")"
	}
	t.minor(r, r.label(), text)
}

func (t *textLines) labelled(e rollout.Labelled) {
	r, what := t.of(e.Head), "entered"
	if !e.Added {
		what = "left"
	}
	t.minor(r, r.label(), fmt.Sprintf("%s %s the cohort: %s", plural(len(e.Pods), "pod", "pods"), what, some(e.Pods, 5)))
}

func (t *textLines) proved(e rollout.Proved) {
	r := t.of(e.Head)
	proof := e.Proof
	r.proof = &proof
	text := proofText(proof)
	if e.Why != "" {
		text = oneLine(e.Why) + ": " + text
	}
	t.minor(r, r.label(), text)
}

// judged writes a judgement on which nothing follows. After a Pass and a Fail comes an event that says the same.
func (t *textLines) judged(e rollout.Judged) {
	r := t.of(e.Head)
	before := r.judged.Verdict
	r.judged = e.Judgement
	if v := e.Judgement.Verdict; v == metrics.Pass || v == metrics.Fail {
		return
	}
	text := strings.Join(append([]string{r.exposed}, t.judgement(e.Judgement)...), " · ")
	changed := e.Judgement.Verdict != before && e.Judgement.Verdict != metrics.Wait
	switch {
	case changed, !t.opts.Live && e.At.Sub(r.said) >= waitEvery:
		r.said = e.At
		t.minor(r, r.label(), text)
	case t.opts.Live && !t.opts.Quiet:
		t.pass(t.prefix(r, r.label()) + text)
	}
}

// tripped is short: the pause or the way back that follows says it with its reason.
func (t *textLines) tripped(e rollout.Tripped) {
	r, trip := t.of(e.Head), e.Trip
	t.minor(r, r.label(), fmt.Sprintf("tripped: %s of %s new requests failed, %s of %s old ones, in the last observation of proxies read every second",
		thousands(trip.New.Bad), thousands(trip.New.Of), thousands(trip.Old.Bad), thousands(trip.Old.Of)))
}

func (t *textLines) passed(e rollout.StepPassed) {
	r := t.of(e.Head)
	parts := []string{r.exposed}
	if r.exposed == "" {
		parts[0] = oneLine(e.Step)
	}
	if r.proof != nil {
		parts = append(parts, proofText(*r.proof))
	}
	t.minor(r, r.label(), strings.Join(append(parts, t.judgement(e.Judgement)...), " · "))
}

func (t *textLines) paused(e rollout.PausedEvent) {
	r := t.of(e.Head)
	r.paused = true
	t.line(r, labelPaused, t.styles.paint(t.styles.warn, oneLine(e.Reason)))
	t.facts(r, labelPaused, "in force now: "+newPolicyFor(e.Exposed), e.Next)
}

func (t *textLines) takingBack(e rollout.TakingBack) {
	r := t.of(e.Head)
	r.back = true
	t.line(r, labelRollback, t.styles.paint(t.styles.bad, causeText(e.Cause)+because(e.Reason)))
	if !tellsNumbers(e.Reason) && r.judged.New.Requests+r.judged.Old.Requests > 0 {
		t.line(r, labelRollback, judgementText(r.judged))
	}
	if r.exposed != "" {
		t.line(r, labelRollback, "in force until it is out: "+newPolicyFor(r.exposed))
	}
}

func (t *textLines) neutralised(e rollout.Neutralised) {
	r := t.of(e.Head)
	if unproved(e.Proof) {
		// After the fold nothing bears a name of the rollout, so that there is nothing to look for on the proxies.
		r.exposed, r.unproved = "", true
		t.line(r, labelRollback, "the objects are as before, "+span(e.Took)+" after the decision")
		t.line(r, labelRollback, "in force now: the old policy, as soon as the control plane has pushed it; that was not proved")
		return
	}
	t.line(r, labelRollback, fmt.Sprintf("new policy out of force on %s; %s after the decision", proofText(e.Proof), span(e.Took)))
	now := "in force now: the old policy"
	if e.Proof.Confirmed < e.Proof.Concerned {
		now += ", except on the proxies named above"
		t.line(r, labelRollback, t.styles.paint(t.styles.bad, now))
		return
	}
	r.exposed = ""
	t.line(r, labelRollback, t.styles.paint(t.styles.good, now))
}

func (t *textLines) kept(e rollout.Kept) {
	r := t.of(e.Head)
	t.line(r, labelKept, oneLine(e.Object.String())+": somebody else changed these meanwhile, so they stay: "+some(e.Conflicts, 10))
}

func (t *textLines) ended(e rollout.Ended) {
	r := t.of(e.Head)
	text := string(e.Phase) + " after " + span(e.Took)
	if e.Phase == rollout.Paused && r.paused {
		t.line(r, labelDone, t.styles.paint(t.styles.phase(e.Phase), text))
		delete(t.runs, e.Target.String()+" "+e.Rollout)
		return
	}
	if e.Cause != "" {
		text += ": " + causeText(e.Cause)
	}
	t.line(r, labelDone, t.styles.paint(t.styles.phase(e.Phase), text+because(e.Reason)))
	next := e.Next
	if next == "" {
		next = nextCommand(e.Phase, e.Head)
	}
	now := inForce(e.Phase, r.exposed)
	if r.unproved && e.Phase == rollout.RolledBack {
		now += ", as soon as the control plane has pushed it"
	}
	t.facts(r, labelDone, "in force now: "+now, next)
	delete(t.runs, e.Target.String()+" "+e.Rollout)
}

// facts writes what is in force and how to go on.
func (t *textLines) facts(r *run, label, now, next string) {
	t.line(r, label, now)
	if next != "" {
		t.line(r, label, "next: "+t.styles.paint(t.styles.accent, oneLine(next)))
	}
}

// minor is a line that --quiet leaves out.
func (t *textLines) minor(r *run, label, text string) {
	if !t.opts.Quiet {
		t.line(r, label, text)
	}
}

// line writes one whole line. A failing printer must not stop a rollout, so the error of a write is dropped.
func (t *textLines) line(r *run, label, text string) {
	t.clear()
	_, _ = io.WriteString(t.out, t.prefix(r, label)+text+"\n")
}

// pass writes a line that the next one overwrites; it is cut to the terminal's width, else it could not be.
func (t *textLines) pass(text string) {
	t.clear()
	width := t.opts.Width
	if width <= 0 {
		width = usualWidth
	}
	_, _ = io.WriteString(t.out, cut(text, width))
	t.passing = true
}

func (t *textLines) clear() {
	if t.passing {
		_, _ = io.WriteString(t.out, clearLine)
		t.passing = false
	}
}

func (t *textLines) prefix(r *run, label string) string {
	text := t.styles.paint(t.styles.dim, fmt.Sprintf("%7s", clock(r.head.At.Sub(r.started)))) + fmt.Sprintf("  %-8s  ", label)
	if t.opts.Several {
		text += oneLine(r.head.Target.String()) + "  "
	}
	return text
}

// label is "step 2/6" while a step runs, and "rollback" on the way back.
func (r *run) label() string {
	switch {
	case r.back:
		return labelRollback
	case r.index < 0:
		return labelStart
	}
	return fmt.Sprintf("step %d/%d", r.index+1, r.steps)
}
