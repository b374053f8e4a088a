package shop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
)

// callsOf runs a gRPC load from one pod to another and returns what the client saw.
func callsOf(t *testing.T, from, to pod, rule string) []referee.Record {
	t.Helper()
	if code, body := to.ask(t, "PUT", "/behaviour", rule); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	load := `{"rps":200,"duration":"200ms","timeout":"300ms","target":"` + to.grpc + `"}`
	if code, body := from.ask(t, "POST", "/load", load); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, body := from.ask(t, "GET", "/load", "")
		var p loadgen.Progress
		if err := json.Unmarshal([]byte(body), &p); err != nil || time.Now().After(end) {
			t.Fatalf("the run does not end: %s %v", body, err)
		}
		if p.State == loadgen.Done {
			break
		}
	}
	_, body := from.ask(t, "GET", "/load/records", "")
	batch, err := referee.ReadBatch(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Records) == 0 || batch.Header.Paths[0] != "/meshpol.shop.Stock/Check" {
		t.Fatalf("%+v", batch.Header)
	}
	return batch.Records
}

func TestGRPCCallsEndAsTheRuleSays(t *testing.T) {
	server := startPod(t, serveOptions{name: "stock"})
	client := startPod(t, serveOptions{name: "mobile"})
	for rule, want := range map[string]referee.Outcome{
		`[]`:                           referee.GRPC(0),
		`[{"path":"/","failRatio":1}]`: referee.GRPC(14),
		`[{"path":"/meshpol.shop","failRatio":1,"failStatus":13}]`: referee.GRPC(13),
		`[{"path":"/other","failRatio":1}]`:                        referee.GRPC(0),
		`[{"path":"/","hangRatio":1}]`:                             referee.Timeout,
		`[{"path":"/","resetRatio":1}]`:                            referee.Reset,
	} {
		for _, r := range callsOf(t, client, server, rule) {
			if r.Outcome != want || r.Cohort == referee.Unknown {
				t.Fatalf("%s: %s, cohort %d; want %s", rule, r.Outcome, r.Cohort, want)
			}
			if r.Outcome.Answered() != (r.Server != referee.NoServer) {
				t.Fatalf("%s: %s, server %d", rule, r.Outcome, r.Server)
			}
		}
	}
}

func TestGRPCCallsAreDelayedAndCounted(t *testing.T) {
	server := startPod(t, serveOptions{name: "stock"})
	client := startPod(t, serveOptions{name: "mobile"})
	records := callsOf(t, client, server, `[{"path":"/","delay":"30ms"}]`)
	for _, r := range records {
		if r.Outcome != referee.GRPC(0) || r.FromStart() < 30*time.Millisecond {
			t.Fatalf("%s after %s", r.Outcome, r.FromStart())
		}
	}
	if _, body := server.ask(t, "GET", "/counters", ""); !strings.Contains(body, `"path":"/meshpol.shop.Stock/Check"`) {
		t.Errorf("counters: %s", body)
	}
}
