package report_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/report"
)

var update = flag.Bool("update", false, "write the golden files")

var epoch = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// sample is a load in which the window 4090,16 got a timeout of 250 ms, and one request of it timed out.
func sample(t *testing.T) referee.Log {
	t.Helper()
	paths := []string{"/", "/users"}
	servers := []referee.Server{{Pod: "user-service-v1-0", Version: "v1"}, {Pod: "user-service-v2-0", Version: "v2"}}
	batch := referee.Batch{Header: referee.Header{Client: "web-0", Paths: paths, Servers: servers, Lost: 3}}
	for i := range 40 {
		cohort := referee.Cohort(i * 103 % 4096)
		r := referee.Record{
			Due: epoch.Add(time.Duration(i) * 75 * time.Millisecond).UnixMicro(), Lag: 200, Latency: uint32(2000 + 100*i),
			ExpectedTimeout: 1000, Outcome: 200, Cohort: cohort, Server: uint16(i % 2), Path: uint8(i % 2), Attempt: 1,
		}
		if (referee.Window{Start: 4090, Width: 800}).Contains(cohort) {
			r.ExpectedTimeout = 250
		}
		batch.Records = append(batch.Records, r)
	}
	last := &batch.Records[39]
	*last = referee.Record{Due: last.Due, Outcome: 504, Latency: 250_400, Cohort: 5, Server: referee.NoServer, Flags: referee.IDChanged}
	batch.Records[20] = referee.Record{Due: batch.Records[20].Due, Outcome: referee.Reset, Cohort: referee.Unknown,
		Server: referee.NoServer, Path: 1, Flags: referee.Stale}
	batch.Records[21].Flags = referee.Resent
	log, err := referee.Merge(batch)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func options() report.Options {
	return report.Options{
		Window: &referee.Window{Start: 4090, Width: 800}, Bad: referee.Bad, BadRule: "5xx,error", Series: true,
		Unsent: report.Unsent{Dropped: 1, Missed: 2, InFlight: 3},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

func inUTC(r report.Report) report.Report {
	r.First, r.Last = r.First.UTC(), r.Last.UTC()
	if r.FirstBad != nil {
		first, last := *r.FirstBad, *r.LastBad
		first.At, last.At = first.At.UTC(), last.At.UTC()
		r.FirstBad, r.LastBad = &first, &last
	}
	series := append([]referee.Second{}, r.Series...)
	for i := range series {
		series[i].At = series[i].At.UTC()
	}
	r.Series = series
	return r
}

func TestReportText(t *testing.T) {
	var out strings.Builder
	if err := inUTC(report.New(sample(t), options())).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", out.String())
}

func TestReportJSON(t *testing.T) {
	data, err := json.MarshalIndent(inUTC(report.New(sample(t), options())), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(data)+"\n")
}

func TestAReportOfNothing(t *testing.T) {
	o := options()
	o.Interval = referee.Interval{From: epoch.Add(time.Hour)}
	r := report.New(sample(t), o)
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "nothing.txt", out.String())
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if _, err := json.Marshal(report.New(referee.Log{}, report.Options{Bad: referee.Bad})); err != nil {
		t.Error(err)
	}
}

func TestTheIntervalLimitsEverything(t *testing.T) {
	o := options()
	o.Interval = referee.Interval{From: epoch.Add(time.Second), Until: epoch.Add(2 * time.Second)}
	r := report.New(sample(t), o)
	if r.All.Total != 13 || r.All.Bad != 1 || len(r.Series) != 1 || r.Series[0].Sent != 13 ||
		r.Window.In.Total+r.Window.Out.Total+r.Window.Unknown.Total != 13 || r.Latency.FromStart.N != 13 || r.FirstBad == nil {
		t.Errorf("%+v", r)
	}
}
