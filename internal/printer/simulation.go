package printer

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/meshpol/meshpol/pkg/simulate"
)

// SimulationView is what the simulated rollouts of one target came to.
type SimulationView struct {
	simulate.Report
	// Notes are what a person should know of the plan.
	Notes []string `json:"notes,omitempty"`
}

// SimulationsDocument are simulations as a document.
type SimulationsDocument struct {
	Simulations []SimulationView `json:"simulations"`
	// Findings are what validation says of the files.
	Findings []FindingView `json:"findings,omitempty"`
}

// Simulations writes what simulated rollouts came to: tables and a small chart for people, who have read the findings on
// standard error, one document for programs.
func (p *Printer) Simulations(found []FindingView, views []SimulationView) error {
	if p.format != Text {
		return p.document(SimulationsDocument{Simulations: views, Findings: found})
	}
	var out lines
	for i, r := range views {
		if i > 0 {
			out.add("")
		}
		p.simulationHead(&out, r.Report)
		for _, n := range r.Notes {
			out.add("%s %s", p.styles.paint(p.styles.warn, "note    "), oneLine(n))
		}
		own := r.Rules[0]
		out.add("")
		out.WriteString(p.tallies(own).text(p.styles, p.opts.Width))
		out.add("%s", p.fitted(p.styles.paint(p.styles.dim, "times and requests: median / 9 of 10 within; (< x): 95 % sure that it is below x")))
		whyLines(&out, own)
		if own.Bad != nil && own.Bad.Found.N > 0 {
			out.add("")
			p.foundChart(&out, r.Report, *own.Bad)
		}
		if len(r.Rules) > 1 {
			out.add("")
			out.add("%s", p.fitted(p.styles.paint(p.styles.dim, "the same traffic by other rules; false: harmless, but taken back; harmed: mean")))
			out.WriteString(p.comparison(r.Report).text(p.styles, p.opts.Width))
			for _, rule := range r.Rules[1:] {
				out.add("%s", p.fitted(p.styles.paint(p.styles.dim, rule.Name+": "+rule.About)))
			}
		}
	}
	return p.write(out.String())
}

func (p *Printer) fitted(line string) string { return cut(line, p.opts.Width) }

// simulationHead says what was simulated.
func (p *Printer) simulationHead(out *lines, r simulate.Report) {
	t := r.Traffic
	out.add("%s", p.fitted(fmt.Sprintf("simulation of %s (%s) of %s: %s, seed %d", p.styles.paint(p.styles.strong, oneLine(r.Name)), oneLine(r.Strategy),
		oneLine(r.Target), plural(r.Runs, "run", "runs"), r.Seed)))
	traffic := fmt.Sprintf("traffic  %g %s from %s, %s errors", t.RPS, singular(t.RPS, "request/s", "requests/s"), plural(t.Pods, "pod", "pods"), share(t.Errors, 1))
	if t.Clumps > 1 {
		traffic += fmt.Sprintf(" in clumps of %g", t.Clumps)
	}
	traffic += fmt.Sprintf(", median %s", t.Latency)
	for _, e := range []struct {
		hourly    float64
		one, text string
	}{{t.Sick, "sick spell a pod", "sick spells a pod"}, {t.Bursts, "burst", "bursts"}, {t.Outages, "outage", "outages"}} {
		if e.hourly > 0 {
			traffic += fmt.Sprintf(", %g %s an hour", e.hourly, singular(e.hourly, e.one, e.text))
		}
	}
	out.add("%s", p.fitted(traffic))
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, oneLine(s.Name))
	}
	out.add("%s", p.fitted("steps    "+strings.Join(steps, " → ")))
	wire := "tripwire off, or no step for it: by request, at most 50 %, judged"
	if len(r.Tripwire) > 0 {
		wire = "tripwire each second at " + oneLine(strings.Join(r.Tripwire, ", "))
	}
	out.add("%s", p.fitted(wire))
	if r.Asks {
		out.add("%s", p.fitted("note     it pauses for a person; here somebody promotes it at once"))
	}
}

// tallies is the table of meshpol's own rule: a harmless policy, and the harm beside it.
func (p *Printer) tallies(r simulate.Rule) table {
	t := table{head: []string{"", "harmless"}}
	sums := []simulate.Tally{r.Good}
	if r.Bad != nil {
		t.head = append(t.head, oneLine(r.Bad.Harm))
		sums = append(sums, *r.Bad)
	}
	t.head[0] = "what"
	row := func(name string, text func(simulate.Tally) string) {
		cells, any := []cell{{text: name}}, false
		for _, s := range sums {
			c := cell{text: text(s)}
			any = any || c.text != ""
			cells = append(cells, c)
		}
		if any {
			t.rows = append(t.rows, cells)
		}
	}
	row("taken back for harm", func(s simulate.Tally) string {
		if s.Harm == "" {
			return fmt.Sprintf("%s (< %s)", share(s.Share(simulate.Failed), 1), share(s.Upper(simulate.Failed), 1))
		}
		return share(s.Share(simulate.Failed), 1)
	})
	row("most of them at", mostly)
	row("by the tripwire", func(s simulate.Tally) string {
		if s.Tripped == 0 {
			return ""
		}
		return share(float64(s.Tripped), float64(s.Runs))
	})
	for _, e := range endWords()[1:] {
		row(e.text, func(s simulate.Tally) string {
			if s.Share(e.end) == 0 && e.end != simulate.Passed {
				return ""
			}
			return share(s.Share(e.end), 1)
		})
	}
	row("bound shown", boundShares)
	row("passed after", func(s simulate.Tally) string { return times(s.Took) })
	row("out again after", func(s simulate.Tally) string {
		if s.Harm == "" {
			return ""
		}
		return times(s.Found)
	})
	row("person asked after", func(s simulate.Tally) string { return times(s.Asked) })
	row("requests harmed", harmed)
	return t
}

// whyLines says of every end that is no pass where it mostly was, and what was said there.
func whyLines(out *lines, r simulate.Rule) {
	sums := []simulate.Tally{r.Good}
	if r.Bad != nil {
		sums = append(sums, *r.Bad)
	}
	for _, s := range sums {
		for _, w := range s.Why {
			if w.End == string(simulate.Failed) && s.Harm != "" {
				continue // that is what was asked for, and the chart says where
			}
			name := "harmless"
			if s.Harm != "" {
				name = oneLine(s.Harm)
			}
			out.add("%s, %s: %d of %d at %s, such as: %s", name, endWord(simulate.End(w.End)), w.Runs, w.Of, oneLine(w.Step), oneLine(w.Reason))
		}
	}
}

// endWords are the ends in the words of the table.
func endWords() []struct {
	end  simulate.End
	text string
} {
	return []struct {
		end  simulate.End
		text string
	}{{simulate.Failed, "taken back for harm"}, {simulate.Passed, "passed"}, {simulate.Paused, "paused for a person"},
		{simulate.Inconclusive, "inconclusive, taken back"}, {simulate.NoData, "no data, taken back"}, {simulate.TimedOut, "deadline, taken back"}}
}

func endWord(end simulate.End) string {
	for _, e := range endWords() {
		if e.end == end {
			return e.text
		}
	}
	return string(end)
}

// mostly is the step at which most of those that were taken back for harm were.
func mostly(s simulate.Tally) string {
	name, most := "", 0
	for _, c := range s.FoundAt {
		if c.Runs > most {
			name, most = c.Name, c.Runs
		}
	}
	return name
}

// times is a length of time over runs.
func times(s simulate.Spread) string {
	if s.N == 0 {
		return ""
	}
	return seconds(s.Median) + " / " + seconds(s.P90)
}

func harmed(s simulate.Tally) string {
	if s.Harm == "" {
		return ""
	}
	return fmt.Sprintf("%s / %s, %s of all", thousands(s.Harmed.Median), thousands(s.Harmed.P90), share(s.HarmedShare, 1))
}

func boundShares(s simulate.Tally) string {
	var out []string
	for _, b := range s.Bounds {
		out = append(out, fmt.Sprintf("%s %s", b.Name, share(float64(b.Runs), float64(s.Took.N))))
	}
	return strings.Join(out, ", ")
}

// The width of bars where the terminal's is not known, and the least that is worth drawing.
const (
	chartWidth = 80
	leastBar   = 10
)

// foundChart has a bar for each step, as long as the share of the runs that were taken back there.
func (p *Printer) foundChart(out *lines, r simulate.Report, bad simulate.Tally) {
	width, label := chartWidth, len("step")
	if p.opts.Width > 0 {
		width = min(p.opts.Width, chartWidth)
	}
	for _, s := range r.Steps {
		label = max(label, lipgloss.Width(oneLine(s.Name)))
	}
	bar := max(leastBar, width-label-len("  100 %  "))
	out.add("%s", p.fitted(p.styles.paint(p.styles.dim, "found at")))
	for _, s := range r.Steps {
		n := 0
		for _, c := range bad.FoundAt {
			if c.Name == s.Name {
				n = c.Runs
			}
		}
		name := oneLine(s.Name)
		text := fmt.Sprintf("%s%s  %s", name, strings.Repeat(" ", label-lipgloss.Width(name)), p.styles.paint(p.styles.accent, strings.Repeat("█", (n*bar+bad.Runs-1)/bad.Runs)))
		if n > 0 {
			text += " " + share(float64(n), float64(bad.Runs))
		}
		out.add("%s", p.fitted(strings.TrimRight(text, " ")))
	}
}

// comparison is the table of all rules on the same traffic.
func (p *Printer) comparison(r simulate.Report) table {
	t := table{head: []string{"rule", "false", "paused", "no verdict", "good takes"}}
	if r.Rules[0].Bad != nil {
		t.head = append(t.head, "found", "median", "9 of 10", "harmed")
	}
	for i, rule := range r.Rules {
		row := []cell{{text: rule.Name}, {text: share(rule.Good.Share(simulate.Failed), 1)}, {text: share(rule.Good.Share(simulate.Paused), 1)}, {text: share(noVerdict(rule.Good), 1)}, {text: brief(rule.Good.Took.N, rule.Good.Took.Median)}}
		if i == 0 {
			row[0].style = p.styles.strong
		}
		if b := rule.Bad; b != nil {
			row = append(row, cell{text: share(b.Share(simulate.Failed), 1)}, cell{text: brief(b.Found.N, b.Found.Median)},
				cell{text: brief(b.Found.N, b.Found.P90)}, cell{text: thousands(b.Harmed.Mean)})
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// noVerdict is the share of runs that ended without a Pass, a Fail or a pause for a person.
func noVerdict(t simulate.Tally) float64 {
	return t.Share(simulate.Inconclusive) + t.Share(simulate.NoData) + t.Share(simulate.TimedOut)
}

func brief(n int, s float64) string {
	if n == 0 {
		return ""
	}
	return seconds(s)
}
