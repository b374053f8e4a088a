package shop

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
	"github.com/meshpol/meshpol/lab/internal/shop/report"
)

func TestRunSplitsTheLoadAndReportsOnAllClients(t *testing.T) {
	lab := newFakeLab(t)
	lab.must(t, "behave --app user-service --path /bad --fail 1 --fail-code 504")
	var r report.Report
	lab.mustJSON(t, "load run --rps 300 --duration 300ms --path /,/bad --window 0,2048 --series -o json --name other", &r)
	if lab.openedName != "other" {
		t.Errorf("opened lab %q", lab.openedName)
	}
	sent := int64(r.All.Total) + r.Unsent.Dropped + r.Unsent.Missed
	if sent != 90 || !slices.Equal(r.Clients, []string{"mobile-a", "web-a", "web-b"}) || r.Unsent.InFlight != 0 {
		t.Errorf("%d requests by %v, unsent %+v", sent, r.Clients, r.Unsent)
	}
	if r.All.Outcomes[200]+r.All.Outcomes[504] != r.All.Total || r.All.Bad != r.All.Outcomes[504] || r.All.Bad < r.All.Total/3 {
		t.Errorf("%+v", r.All)
	}
	if r.Window.In.Total+r.Window.Out.Total != r.All.Total || r.UnknownCohorts != 0 || !r.Window.Share.Within(6) {
		t.Errorf("window %+v", r.Window)
	}
	if len(r.Paths) != 2 || r.Paths[1].Bad != r.Paths[1].Total || r.FirstBad.Path != "/bad" || len(r.Series) == 0 {
		t.Errorf("paths %+v, first bad %+v", r.Paths, r.FirstBad)
	}
}

func TestStartStatusStopReport(t *testing.T) {
	lab := newFakeLab(t)
	type status struct {
		Pod string
		loadgen.Progress
	}
	var started []status
	lab.mustJSON(t, "load start --from web --rps 100 --duration 1h --request-ids hex32 --timeout 3s --concurrency 7 "+
		"--keepalive=false --method POST --header a=b,c=d --host h -o json", &started)
	if len(started) != 2 || started[0].Pod != "web-a" || started[1].State != loadgen.Running {
		t.Fatalf("%+v", started)
	}
	spec := started[1].Spec
	if spec.RPS != 50 || spec.RequestIDs != "hex32" || time.Duration(spec.Timeout) != 3*time.Second || spec.Concurrency != 7 ||
		*spec.KeepAlive || spec.Method != "POST" || spec.Headers["c"] != "d" || spec.Host != "h" {
		t.Errorf("%+v", spec)
	}
	if out := lab.must(t, "load status"); !strings.Contains(out, "mobile-a  idle") || !strings.Contains(out, "web-b     running") {
		t.Errorf("%s", out)
	}
	time.Sleep(100 * time.Millisecond)
	if out := lab.must(t, "load report --from web"); !strings.Contains(out, "requests by web-a, web-b") {
		t.Errorf("%s", out)
	}
	_, _, err := lab.run(t.Context(), "load start --from mobile,web --rps 100 --duration 1h")
	if err == nil || strings.Count(err.Error(), "stop it (DELETE /load)") != 2 {
		t.Errorf("a second load: %v", err)
	}
	var stopped []status
	lab.mustJSON(t, "load stop -o json", &stopped)
	states := map[string]loadgen.State{}
	for _, s := range stopped {
		states[s.Pod] = s.State
	}
	// The second load was refused by the web pods; mobile, which had begun it, was stopped.
	for pod, want := range map[string]loadgen.State{"web-a": loadgen.Stopped, "web-b": loadgen.Stopped, "mobile-a": loadgen.Stopped} {
		if states[pod] != want {
			t.Errorf("%s is %s, want %s", pod, states[pod], want)
		}
	}
}

func TestAnInterruptStopsTheLoadAndReports(t *testing.T) {
	lab := newFakeLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	out, log, err := lab.run(ctx, "load run --rps 50 --duration 1h")
	if err != nil || !strings.Contains(log, "interrupted: stopping the load") || !strings.Contains(out, "requests by mobile-a, web-a, web-b") {
		t.Errorf("%v\n%s%s", err, log, out)
	}
	if out := lab.must(t, "load status"); strings.Count(out, "stopped") != 3 {
		t.Errorf("%s", out)
	}
}

func TestReportInTime(t *testing.T) {
	lab := newFakeLab(t)
	var all, none, some report.Report
	lab.mustJSON(t, "load run --from web --rps 100 --duration 300ms -o json", &all)
	lab.mustJSON(t, "load report --from web -o json --until "+all.First.UTC().Format(time.RFC3339Nano), &none)
	lab.mustJSON(t, "load report --from web -o json --bad 200 --since "+all.Last.UTC().Format(time.RFC3339Nano), &some)
	if none.All.Total != 0 || some.All.Total < 1 || some.All.Total > 2 || some.All.Bad != some.All.Total {
		t.Errorf("%d before the first of %d, %d (bad %d) from the last", none.All.Total, all.All.Total, some.All.Total, some.All.Bad)
	}
}

func TestLoadRefuses(t *testing.T) {
	lab := newFakeLab(t)
	for line, want := range map[string]string{
		"load run --duration 1s":                      "planning the load: --rps 0; allowed: more than 0, at most 2000",
		"load run --rps 2001 --duration 1s":           "planning the load: --rps 2001; allowed",
		"load start --rps 1":                          "planning the load: --duration 0s; allowed: more than 0s, at most 2h0m0s",
		"load start --rps 1 --duration 3h":            "planning the load: --duration 3h0m0s; allowed",
		"load start --rps 1 --duration 1s -o yaml":    "choosing the output: -o yaml; allowed: text, json",
		"load start --rps 1 --duration 1s --from x":   `finding pods of app "x": none runs in namespace shop`,
		"load start --rps 1 --duration 1s --path x":   `pod web-a refused POST /load: field paths[0] is "x"; allowed`,
		"load run --rps 1 --duration 1s --bad teapot": `reading --bad: reading what counts as bad: "teapot": allowed`,
		"load report --window 5":                      `reading --window: reading window "5": allowed: START,WIDTH`,
		"load report --since yesterday":               `reading --since "yesterday": allowed: a time such as`,
		"load report --until NaN":                     `reading --until "NaN": allowed`,
		"load nonsense":                               `unknown command "nonsense"`,
	} {
		if _, _, err := lab.run(t.Context(), line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lab %s: %v", line, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 15, 4, 5, 250e6, time.UTC)
	for _, text := range []string{"2026-01-02T15:04:05.250Z", "2026-01-02T16:04:05.25+01:00", "1767366245.25"} {
		if got, err := parseTime("--since", text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestBehave(t *testing.T) {
	lab := newFakeLab(t)
	for _, c := range []struct{ line, want string }{
		{"behave --app user-service", `[]`},
		{"behave --app user-service --delay 150ms --jitter 50ms", `[{"path":"/","delay":"150ms","jitter":"50ms"}]`},
		{"behave --pod user-service-v2-a --path /x --fail 0.5 --fail-code 500 --fail-attempts 1 --name other",
			`[{"path":"/","delay":"150ms","jitter":"50ms"},{"path":"/x","failRatio":0.5,"failCode":500,"failAttempts":1}]`},
		{"behave --app user-service --path / --slow 0.1 --slow-delay 1s --hang 0.1 --reset 0.1 --max-in-flight 9",
			`[{"path":"/x","failRatio":0.5,"failCode":500,"failAttempts":1},{"path":"/","slowRatio":0.1,"slowDelay":"1s",` +
				`"hangRatio":0.1,"resetRatio":0.1,"maxInFlight":9}]`},
		{"behave --app user-service --clear --path /", `[{"path":"/x","failRatio":0.5,"failCode":500,"failAttempts":1}]`},
		{"behave --app user-service --clear", `[]`},
	} {
		out := lab.must(t, c.line)
		if !strings.HasSuffix(strings.TrimSpace(out), "user-service-v2-a  "+c.want) {
			t.Errorf("%s:\n%swant %s", c.line, out, c.want)
		}
	}
	if out := lab.must(t, "behave --app web,mobile --delay 1ms"); strings.Count(out, `"delay":"1ms"`) != 3 {
		t.Errorf("%s", out)
	}
	for line, want := range map[string]string{
		"behave":                              "give either --app or --pod",
		"behave --app web --pod web-a":        "give either --app or --pod",
		"behave --app web --clear --delay 1s": "--clear goes with no flag but",
		"behave --pod web-z":                  `finding pod "web-z"`,
		"behave --app web --fail 2":           "pod web-a refused PUT /behaviour: field [0].failRatio is 2; allowed: 0 to 1",
	} {
		if _, _, err := lab.run(t.Context(), line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lab %s: %v", line, err)
		}
	}
}

func TestCommandsNeedARunningLab(t *testing.T) {
	t.Setenv("MESHPOL_LAB_STATE", t.TempDir())
	for line, cmd := range map[string]*cobra.Command{"status": LoadCmd(), "--app web": BehaveCmd()} {
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(strings.Fields(line))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "lab up") {
			t.Errorf("%s %s: %v", cmd.Name(), line, err)
		}
	}
}
