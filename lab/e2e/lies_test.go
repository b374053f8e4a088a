//go:build e2e

package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// trouble is a mood of Prometheus with what meshpol must say of it.
type trouble struct {
	mood mood
	says string
}

// troubles are all that a source can have without saying anything that looks like counts. None is a reason to go on, or
// to go back.
func troubles() []trouble {
	now := func() float64 { return float64(time.Now().UnixMilli()) / 1000 }
	truncated := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":`))
		panic(http.ErrAbortHandler)
	}
	slow := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(30 * time.Second):
		case <-r.Context().Done():
		}
	}
	return []trouble{
		{mood{lie: func([]*stream) []*stream { return nil }}, "waiting: "},
		{mood{lie: values(func(float64, float64) string { return "NaN" })}, "had the value NaN, which no counter can have"},
		{mood{lie: values(func(_, v float64) string { return strconv.FormatFloat(-v-1, 'f', 0, 64) })}, "had the value -"},
		{mood{clock: 10 * time.Minute}, "waiting: "},
		{mood{lie: samples(func(at float64) bool { return at < now()-120 })}, "waiting: "},
		{says(500, "text/plain", "boom"), "could not answer: server error: 500: boom"},
		{says(429, "text/plain", "slow down"), "could not answer: client error: 429: slow down"},
		{says(200, "text/html", "<html>hello</html>"), "is not Prometheus"},
		{says(200, "application/json", `{"status":42}`), "is not Prometheus"},
		{mood{instead: truncated}, "broke off its answer"},
		{mood{instead: slow}, "did not answer in time"},
	}
}

// TestPrometheusIsInTrouble: one rollout, one trouble after the other, at the moment in which a verdict is wanted. Nothing
// passes, nothing is taken back, everything is said; then it is well and the rollout goes on by itself.
func TestPrometheusIsInTrouble(t *testing.T) {
	s := newScene(t, 100, nil)
	m := s.newMiddle()
	// All of it takes a minute; the step is as patient, and goes on after it without the bound that it cannot show.
	r := s.begin(short("rollout", "--prometheus", m.url(), "--step-max", "75s", "-f", s.timeout("cart"))...)
	s.until(r, begun("10 %"))
	from := len(r.Events())
	for _, c := range troubles() {
		m.is(c.mood)
		s.hears(r, c.says)
	}
	m.dies()
	s.hears(r, "cannot be reached")
	s.hears(r, "readings in a row failed")
	for _, e := range r.Events()[from:] {
		if e.Event == "stepPassed" || e.Event == "takingBack" {
			t.Errorf("%s though there was nothing to judge by: %v", e.Event, e.Fields)
		}
	}
	m.comesBack()
	m.is(mood{})
	s.ends(r, 0)
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"20s"}`)}, s.objects())
	s.noErrors(s.records())
}

// hears waits until two judgements from now on say a text; the first may have been asked before.
func (s *scene) hears(r *trial.Run, text string) {
	s.Helper()
	from := len(r.Events())
	heard := func() (n int) {
		for _, e := range r.Events()[from:] {
			if e.Event == "judged" && strings.Contains(reason(e), text) {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(40 * time.Second); heard() < 2 && !(heard() == 1 && text == "did not answer in time"); time.Sleep(20 * time.Millisecond) {
		if r.Over() || time.Now().After(deadline) {
			s.Fatalf("no judgement says %q (over: %v); what was said:\n%s", text, r.Over(), eventText(r))
		}
	}
	for _, e := range r.Events()[from:] {
		if e.Event == "judged" && strings.Contains(reason(e), text) {
			s.Logf("%s", reason(e))
			return
		}
	}
}

// TestPrometheusLies: what is told would make a pass or a breach of a mesh in which both sides fail alike.
func TestPrometheusLies(t *testing.T) {
	each(t, map[string]struct {
		mood mood
		says string
	}{
		"back and forth": {mood{lie: values(func(at, v float64) string {
			if int(at)%2 == 0 {
				v /= 2
			}
			return strconv.FormatFloat(v, 'f', 0, 64)
		})}, "as no counter does"},
		"every series twice":   {mood{lie: twice}, "as no counter does"},
		"a fall to a tenth":    {mood{lie: values(func(_, v float64) string { return strconv.FormatFloat(v/10, 'f', 0, 64) })}, ""},
		"only the old side":    {mood{lie: unmentioned("new")}, "only the old side has series"},
		"only the new side":    {mood{lie: unmentioned("old")}, "only the new side"},
		"a number without end": {mood{lie: values(func(_, v float64) string { return strconv.FormatFloat(v*1e300, 'g', -1, 64) })}, "as no counter does"},
	}, func(t *testing.T, c struct {
		mood mood
		says string
	}) {
		s := newScene(t, 100, func(s *scene) {
			s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{{Path: "/", FailRatio: 0.02, FailCode: 500}}))
		})
		m := s.newMiddle()
		// A jump is told from a restart by the second one, which must come before the step may pass.
		r := s.begin(short("rollout", "--prometheus", m.url(), "--step-min", "8s", "--step-max", "12s", "-f", s.timeout("cart"))...)
		s.until(r, begun("10 %"))
		m.is(c.mood)
		r.Wait()
		s.says(r, c.says)
		told := c.says != ""
		if r.Exit != 6 && (told || r.Exit != 0) {
			t.Errorf("exit code %d\n%s", r.Exit, eventText(r))
		}
		if slices.ContainsFunc(r.Named("stepPassed"), func(e trial.Event) bool { return told && e.Text("step") == "10 %" }) {
			t.Error("the lie made a Pass")
		}
		if r.Exit == 6 {
			s.untouched()
		}
		strange := referee.Select(s.records().Records, func(r referee.Record) bool { return referee.Bad(r) && r.Outcome != 500 })
		if len(strange) > 0 {
			t.Errorf("%d errors that the app did not make: %v", len(strange), strange[0])
		}
		for _, step := range r.Steps() {
			t.Logf("%s: %s", step.Name, step.Reason)
		}
	})
}

// TestPrometheusOfAnotherTime is refused before anything is written.
func TestPrometheusOfAnotherTime(t *testing.T) {
	s := newScene(t, 0, nil)
	m := s.newMiddle()
	for clock, text := range map[time.Duration]string{time.Minute: "1m0s ahead of this machine's", -2 * time.Hour: "2h0m0s behind this machine's"} {
		m.is(mood{clock: clock})
		s.says(s.plain(*s.lab, 6, "rollout", "-f", s.timeout("cart"), "--prometheus", m.url()), text)
	}
	s.nothingWritten()
}

// TestPrometheusDiesWhileHarmGoesOn: nobody can see the harm any more, since the tripwire is off too. The step waits for data as long as it may, says
// so, and goes back.
func TestPrometheusDiesWhileHarmGoesOn(t *testing.T) {
	s := newScene(t, 100, func(s *scene) {
		s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{cut(0, 0.9).rule}))
	})
	m := s.newMiddle()
	r := s.begin(short("rollout", "--no-tripwire", "--prometheus", m.url(), "--step-max", "10s", "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 200ms\n"))...)
	s.until(r, begun("10 %"))
	m.dies()
	s.ends(r, 6)
	s.says(r, "nothing to judge by: no data: ")
	s.says(r, "readings in a row failed: Prometheus at "+m.url()+" cannot be reached")
	s.untouched()
	v := measure(r, s.records(), code(504))
	t.Log(v)
	v.check(s, 25*time.Second, 300)
}
