package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

const clock = "15:04:05.000"

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var out bytes.Buffer
	r.writeHead(&out)
	r.writeBad(&out)
	r.writeWindow(&out)
	r.writeTables(&out)
	r.writeSeries(&out)
	_, err := w.Write(out.Bytes())
	return err
}

func (r Report) writeHead(out *bytes.Buffer) {
	fmt.Fprintf(out, "%d requests by %s", r.All.Total, strings.Join(r.Clients, ", "))
	if r.All.Total == 0 {
		fmt.Fprint(out, "\n")
	} else {
		fmt.Fprintf(out, ", sent from %s to %s\n", r.First.Format(time.RFC3339Nano), r.Last.Format(time.RFC3339Nano))
	}
	fmt.Fprintf(out, "  outcomes           %s\n", counts(r.All.Outcomes, referee.Outcome.String))
	fmt.Fprintf(out, "  expected timeouts  %s\n", counts(r.All.ExpectedTimeouts, timeoutName))
	fmt.Fprintf(out, "  attempts           %s\n", counts(r.All.Attempts, attemptName))
	fmt.Fprintf(out, "  latency            %s\n", latencyText(r.Latency.FromStart))
	fmt.Fprintf(out, "  since due          %s\n", latencyText(r.Latency.FromDue))
	u := r.Unsent
	fmt.Fprintf(out, "  not sent           %d dropped (too many in flight), %d missed (generator late), %d still in flight\n",
		u.Dropped, u.Missed, u.InFlight)
	remark(out, r.Lost, "records were overwritten before they were asked for: the counts are too small")
	remark(out, r.UnknownCohorts, "requests have no known cohort")
	remark(out, r.All.Resent, "requests were sent again because a kept connection was gone before their first byte")
	remark(out, r.All.Stale, "errors came on a kept connection before an answer: a client that repeats by itself hides them")
	remark(out, r.All.IDChanged, "requests reached the server with an id of another cohort")
}

func remark[T int | uint64](out *bytes.Buffer, n T, text string) {
	if n > 0 {
		fmt.Fprintf(out, "  ! %d %s\n", n, text)
	}
}

func (r Report) writeBad(out *bytes.Buffer) {
	fmt.Fprintf(out, "\nbad (%s): %d of %d\n", r.BadRule, r.All.Bad, r.All.Total)
	for _, b := range []struct {
		name string
		bad  *Bad
	}{{"first", r.FirstBad}, {"last ", r.LastBad}} {
		if b.bad != nil {
			fmt.Fprintf(out, "  %s  %s  %s after %.1f ms, cohort %s, timeout %s, %s to %s of %s\n", b.name,
				b.bad.At.Format(time.RFC3339Nano), b.bad.Outcome, b.bad.LatencyMs, cohortName(b.bad.Cohort),
				timeoutName(b.bad.ExpectedTimeoutMs), b.bad.Client, cmp.Or(b.bad.Path, "-"), cmp.Or(b.bad.Server, "no shop pod"))
		}
	}
}

func (r Report) writeWindow(out *bytes.Buffer) {
	if r.Window == nil {
		return
	}
	s := r.Window.Share
	fmt.Fprintf(out, "\nwindow %d,%d: %d of %d requests of known cohort = %.3f %%, expected %.3f %%, %+.2f standard errors off\n",
		r.Window.Start, r.Window.Width, s.Hits, s.N, 100*s.Seen, 100*s.Expected, s.Off)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  COHORT\tREQUESTS\tBAD\tOUTCOMES\tEXPECTED TIMEOUTS")
	for _, half := range []struct {
		name  string
		tally referee.Tally
	}{{"in", r.Window.In}, {"out", r.Window.Out}, {"unknown", r.Window.Unknown}} {
		writeTally(table, half.name, half.tally)
	}
	table.Flush()
}

func (r Report) writeTables(out *bytes.Buffer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n  SERVER\tREQUESTS\tBAD\tOUTCOMES\tEXPECTED TIMEOUTS")
	for _, s := range r.Servers {
		name := "(no shop pod)"
		if s.Pod != "" {
			name = s.Pod + " " + s.Version
		}
		writeTally(table, name, s.Tally)
	}
	table.Flush()
	if len(r.Paths) < 2 {
		return
	}
	fmt.Fprintln(table, "\n  PATH\tREQUESTS\tBAD\tOUTCOMES\tEXPECTED TIMEOUTS")
	for _, p := range r.Paths {
		writeTally(table, p.Path, p.Tally)
	}
	table.Flush()
}

func writeTally(table io.Writer, name string, t referee.Tally) {
	fmt.Fprintf(table, "  %s\t%d\t%d\t%s\t%s\n", name, t.Total, t.Bad,
		counts(t.Outcomes, referee.Outcome.String), counts(t.ExpectedTimeouts, timeoutName))
}

func (r Report) writeSeries(out *bytes.Buffer) {
	if len(r.Series) == 0 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n  SECOND\tSENT\tBAD\tIN WINDOW\tBAD IN WINDOW\tP50\tP99")
	for _, s := range r.Series {
		fmt.Fprintf(table, "  %s\t%d\t%d\t%d\t%d\t%s\t%s\n", s.At.Format(clock), s.Sent, s.Bad, s.In, s.InBad,
			milliseconds(s.P50), milliseconds(s.P99))
	}
	table.Flush()
}

// counts is a map in the order of its keys: "200×17, 504×2".
func counts[K cmp.Ordered](m map[K]int, name func(K) string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s×%d", name(k), m[k]))
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

func timeoutName(ms uint32) string {
	if ms == 0 {
		return "none"
	}
	return fmt.Sprintf("%dms", ms)
}

func attemptName(n uint8) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

func cohortName(c referee.Cohort) string {
	if c == referee.Unknown {
		return "unknown"
	}
	return fmt.Sprint(int(c))
}

func latencyText(l referee.Latency) string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", milliseconds(l.P50), milliseconds(l.P90),
		milliseconds(l.P99), milliseconds(l.P999), milliseconds(l.Max))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
