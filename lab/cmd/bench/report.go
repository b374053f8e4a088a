package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is one measured thing.
type Row struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Figures
	// Target is what must hold, in words; Met tells whether it does, nil where there is no target.
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
	Note   string `json:"note,omitempty"`
	// Count says that it is one exact number, not a sample: a missed target is then a fault, not a slow machine.
	Count bool `json:"count,omitempty"`
}

// Report is everything that a run measured.
type Report struct {
	Date       time.Time `json:"date"`
	Lab        string    `json:"lab"`
	Proxies    int       `json:"proxies"`
	RPS        float64   `json:"requestsPerSecond"`
	CPUs       int       `json:"cpus"`
	MemoryGiB  float64   `json:"memoryGiB"`
	LoadBefore string    `json:"loadBefore"`
	LoadAfter  string    `json:"loadAfter"`
	Took       float64   `json:"tookSeconds"`
	Rows       []Row     `json:"rows"`
	// Remarks are what no row can hold: requests by verb and resource, errors with their causes.
	Remarks []string `json:"remarks,omitempty"`
}

// sample adds the figures of a sample; limit bounds the median where it is more than 0.
func (r *Report) sample(group, name, unit string, values []float64, limit float64, note string) {
	row := Row{Group: group, Name: name, Unit: unit, Figures: figuresOf(values), Note: note}
	if limit > 0 {
		met := row.N > 0 && row.Median <= limit
		row.Target, row.Met = fmt.Sprintf("median <= %g", limit), &met
	}
	r.Rows = append(r.Rows, row)
}

// off adds how many standard errors something is off; the worst counts.
func (r *Report) off(group, name string, values []float64, note string) {
	row := Row{Group: group, Name: name, Unit: "std. errors", Figures: figuresOf(values), Target: "within 4", Note: note}
	met := row.N > 0 && row.worst() <= 4
	row.Met = &met
	r.Rows = append(r.Rows, row)
}

// zero adds a number of faults among n cases; it must be 0, and there must be cases.
func (r *Report) zero(group, name string, n, faults int, note string) {
	met := n > 0 && faults == 0
	r.Rows = append(r.Rows, Row{Group: group, Name: name, Unit: "faults", Figures: once(n, float64(faults)), Target: "0", Met: &met, Note: note, Count: true})
}

func (r *Report) remark(format string, args ...any) {
	r.Remarks = append(r.Remarks, fmt.Sprintf(format, args...))
}

// broken is an error where an exact number is not what it must be.
func (r *Report) broken() error {
	var names []string
	for _, row := range r.Rows {
		if row.Count && row.Met != nil && !*row.Met {
			names = append(names, row.Group+": "+row.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("not as it must be: %s", strings.Join(names, "; "))
	}
	return nil
}

// gather puts the rows of a group together, which parts may have added at different times.
func (r *Report) gather() {
	var out []Row
	for _, first := range r.Rows {
		if slices.ContainsFunc(out, func(have Row) bool { return have.Group == first.Group }) {
			continue
		}
		for _, row := range r.Rows {
			if row.Group == first.Group {
				out = append(out, row)
			}
		}
	}
	r.Rows = out
}

func (r *Report) writeJSON(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *Report) writeText(to io.Writer) error {
	fmt.Fprintf(to, "meshpol bench, %s: lab %s, %d proxies, %.0f requests/s, %d CPUs, %.0f GiB, load average %s before, %s after, took %.0f s\n",
		r.Date.Format(time.DateOnly), r.Lab, r.Proxies, r.RPS, r.CPUs, r.MemoryGiB, r.LoadBefore, r.LoadAfter, r.Took)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	group := ""
	for _, row := range r.Rows {
		if row.Group != group {
			group = row.Group
			fmt.Fprintf(w, "\n%s\tn\tmedian\tmin\tp90\tmax\tunit\ttarget\t\t\n", strings.ToUpper(group))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", row.Name, row.N, row.numbers(), row.Unit, row.verdict(), row.Note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, remark := range r.Remarks {
		fmt.Fprintf(to, "\n%s\n", remark)
	}
	return nil
}

func (row Row) numbers() string {
	if row.Count {
		return number(row.Median) + "\t\t\t"
	}
	if row.N == 0 {
		return "-\t-\t-\t-"
	}
	return strings.Join([]string{number(row.Median), number(row.Min), number(row.P90), number(row.Max)}, "\t")
}

func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.3f", v)
}

func (row Row) verdict() string {
	switch {
	case row.Met == nil:
		return row.Target + "\t"
	case *row.Met:
		return row.Target + "\tmet"
	}
	return row.Target + "\tMISSED"
}
