package loadgen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/header"
)

// fakeTransport answers without a network.
type fakeTransport func(*http.Request) (*http.Response, error)

func (f fakeTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a 200 after a while, that echoes what came.
func answer(after time.Duration) fakeTransport {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(after):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		h := http.Header{}
		h.Set(header.Pod, "user-service-0")
		h.Set(header.Version, "v1")
		h.Set(header.SeenRequestID, r.Header.Get(header.RequestID))
		h.Set(header.SeenExpectedTimeout, "250")
		h.Set(header.SeenAttempt, "2")
		return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

func generator(transport fakeTransport) *Generator {
	g := New("web-0", "http://cart")
	g.transport = func(Spec) (http.RoundTripper, func()) { return transport, func() {} }
	return g
}

func start(t *testing.T, g *Generator, body string) {
	t.Helper()
	spec, err := ParseSpec([]byte(body), g.defaultTarget)
	if err != nil {
		t.Fatal(err)
	}
	// The run must outlive the request that starts it.
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := g.Start(ctx, spec); err != nil {
		t.Fatal(err)
	}
	cancel()
}

// recordsOf reads all records of the last run.
func recordsOf(g *Generator) []referee.Record {
	made, overwritten := g.current().memory.counts()
	out := make([]referee.Record, made-overwritten)
	g.current().memory.read(overwritten, out)
	return out
}

func TestARunSendsWhatItsScheduleSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := generator(answer(30 * time.Millisecond))
		begin := time.Now()
		start(t, g, `{"rps":100,"duration":"10s","paths":["/a","/b"]}`)
		<-g.current().done
		p := g.Progress()
		if p.State != Done || p.Sent != 1000 || p.Dropped+p.Missed+p.InFlight != 0 || p.Records != 1000 || p.LastError != nil {
			t.Fatalf("%+v", p)
		}
		if got := time.Since(begin); got != 9990*time.Millisecond+30*time.Millisecond {
			t.Errorf("the run took %s", got)
		}
		due := map[int64]referee.Record{}
		for _, r := range recordsOf(g) {
			due[r.Due] = r
			if r.Outcome != 200 || r.FromStart() != 30*time.Millisecond || r.Lag != 0 || r.Cohort == referee.Unknown ||
				r.ExpectedTimeout != 250 || r.Attempt != 2 || r.Server != 0 || r.Flags != 0 {
				t.Fatalf("%+v", r)
			}
		}
		for i := range 1000 {
			if r, ok := due[begin.Add(time.Duration(i)*10*time.Millisecond).UnixMicro()]; !ok || int(r.Path) != i%2 {
				t.Fatalf("request %d: %t, path %d", i, ok, r.Path)
			}
		}
	})
}

func TestSlowAnswersDoNotSlowTheScheduleButAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		slow := answer(time.Second)
		g := generator(func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return slow(r)
		})
		start(t, g, `{"rps":100,"duration":"5s","concurrency":40}`)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if p := g.Progress(); p.State != Running || p.InFlight != 40 || p.Sent != 40 || p.Dropped != 11 {
			t.Errorf("after half a second: %+v", p)
		}
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		if p := g.Progress(); p.State != Draining || p.InFlight == 0 {
			t.Errorf("after the schedule: %+v", p)
		}
		<-g.current().done
		p := g.Progress()
		if p.State != Done || p.Sent+p.Dropped != 500 || p.Sent != 200 || p.Missed != 0 || most.Load() != 40 {
			t.Errorf("at the end: %+v, %d at once", p, most.Load())
		}
	})
}

func TestTheClientsTimeoutIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := generator(answer(time.Hour))
		start(t, g, `{"rps":10,"duration":"1s","timeout":"300ms"}`)
		<-g.current().done
		records := recordsOf(g)
		if len(records) != 10 {
			t.Fatalf("%d records", len(records))
		}
		for _, r := range records {
			if r.Outcome != referee.Timeout || r.FromStart() != 300*time.Millisecond || r.Cohort == referee.Unknown ||
				r.Server != referee.NoServer {
				t.Errorf("%+v", r)
			}
		}
		if p := g.Progress(); p.LastError == nil || p.LastError.Class != "timeout" {
			t.Errorf("%+v", p.LastError)
		}
	})
}

func TestStopLetsRequestsEndAndCutsOffWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, never := answer(time.Second), answer(time.Hour)
		g := generator(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/hang" {
				return never(r)
			}
			return quick(r)
		})
		start(t, g, `{"rps":10,"duration":"1h","paths":["/","/hang"],"timeout":"10m"}`)
		time.Sleep(950 * time.Millisecond)
		begin := time.Now()
		p := g.Stop()
		if p.State != Stopped || p.InFlight != 0 || p.Sent != 10 || time.Since(begin) != stopGrace {
			t.Errorf("after %s: %+v", time.Since(begin), p)
		}
		tally := referee.Count(recordsOf(g), referee.Bad)
		if tally.Outcomes[200] != 5 || tally.Outcomes[referee.Stopped] != 5 || tally.Bad != 0 {
			t.Errorf("%+v", tally)
		}
		if again := g.Stop(); again.State != Stopped {
			t.Errorf("stopping twice: %+v", again)
		}
	})
}

func TestOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := generator(answer(time.Second))
		if p := g.Progress(); p.State != Idle || g.Stop().State != Idle {
			t.Errorf("before the first run: %+v", p)
		}
		start(t, g, `{"rps":10,"duration":"1s"}`)
		spec := *g.Progress().Spec
		var busy *BusyError
		if _, err := g.Start(t.Context(), spec); !errors.As(err, &busy) || busy.State != Running {
			t.Errorf("a second run: %v", err)
		}
		<-g.current().done
		first := g.Progress().Run
		if _, err := g.Start(t.Context(), spec); err != nil {
			t.Errorf("a run after the run: %v", err)
		}
		if p := g.Progress(); p.Run == first || p.Records != 0 {
			t.Errorf("the second run is %+v", p)
		}
		g.Close()
		if _, err := g.Start(t.Context(), spec); err == nil {
			t.Error("a closed generator began a run")
		}
	})
}

func TestProxyIDsAreLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		g := generator(func(r *http.Request) (*http.Response, error) {
			if _, ok := r.Header["X-Request-Id"]; ok {
				t.Error("the client sent an id")
			}
			if n.Add(1)%2 == 0 {
				return nil, io.EOF
			}
			r.Header.Set(header.RequestID, "5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0abc")
			return answer(0)(r)
		})
		start(t, g, `{"rps":10,"duration":"1s","requestIDs":"proxy"}`)
		<-g.current().done
		for _, r := range recordsOf(g) {
			answered := r.Outcome == 200 && r.Cohort == 0xcba && r.Flags == 0
			failed := r.Outcome == referee.EOF && r.Cohort == referee.Unknown
			if !answered && !failed {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestAChangedIDIsFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := generator(func(r *http.Request) (*http.Response, error) {
			id := r.Header.Get(header.RequestID)
			// A proxy may write its trace mark into the version of the UUID: that changes no cohort.
			id = id[:14] + "9" + id[15:]
			if r.URL.Path == "/changed" {
				last := "0"
				if id[35] == '0' {
					last = "1"
				}
				id = id[:35] + last
			}
			r.Header.Set(header.RequestID, id)
			return answer(0)(r)
		})
		start(t, g, `{"rps":10,"duration":"1s","paths":["/","/changed"]}`)
		<-g.current().done
		for _, r := range recordsOf(g) {
			if (r.Flags == referee.IDChanged) != (r.Path == 1) {
				t.Errorf("%+v", r)
			}
		}
		if p := g.Progress(); p.IDChanged != 5 {
			t.Errorf("%+v", p)
		}
	})
}

func TestARunOfOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := generator(answer(0))
		start(t, g, `{"rps":0.001,"duration":"1ms"}`)
		<-g.current().done
		if p := g.Progress(); p.Sent != 1 || p.State != Done || time.Duration(p.Spec.Duration) != time.Millisecond {
			t.Errorf("%+v", p)
		}
	})
}
