package prometheus

import (
	"context"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// said is a transport that answers everything with the same bytes.
type said struct {
	status int
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (s said) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r, Body: io.NopCloser(strings.NewReader(string(s.body)))}, nil
}

// Whatever bytes come as the answer of Prometheus, the counters make an error of them or counts that are numbers from 0
// up, and a judge never passes a step on an answer that holds no request.
func FuzzAnswer(f *testing.F) {
	const head, tail = `{"status":"success","data":{"resultType":"matrix","result":[`, `]}}`
	row := func(name, more, values string) string {
		return `{"metric":{"__name__":"` + name + `","namespace":"shop","pod":"web-1","instance":"i","job":"j",` + more + `},` + values + `}`
	}
	for _, body := range []string{
		head + row("new_rq", `"response_code":"503"`, `"values":[[100,"5"],[110,"NaN"],[115,"9"],[120,"-4"],[125,"+Inf"],[130,"12"]]`) + tail,
		head + row("old_rq", `"response_code":"200"`, `"values":[[100,"1e308"],[101,"1e308"],[115,"0"],[116,"1e308"],[135,"1e308"]]`) + tail,
		head + row("new_rq_time", `"le":"+Inf"`, `"values":[[100,"5"],[130,"12"]]`) + "," + row("new_rq_time", `"le":"5"`, `"values":[[100,"9"],[130,"99"]]`) + tail,
		head + row("new_rq_time", `"le":"x"`, `"histograms":[[100,{"count":"1","sum":"2","buckets":[[0,"1","2","3"]]}],[130,{"count":"9","sum":"2","buckets":[[0,"-1","2","1e308"],[0,"1","1","7"]]}]]`) + tail,
		head + row("new_rq", `"response_code":"200"`, `"values":[[1e300,"5"],[-1e300,"12"],[130.0005,"1"]]`) + tail,
		`{"status":"success","data":{"resultType":"vector","result":[]}}`, `{"status":"error","errorType":"timeout","error":"x"}`,
		`<html>`, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":`, `null`, ``,
	} {
		f.Add(200, []byte(body))
	}
	f.Add(503, []byte("upstream connect error"))
	q := metrics.Query{Selector: "x", FromZero: true, Rules: []metrics.SeriesRule{
		{NameContains: "new_rq_time", Side: metrics.New, Class: metrics.ClassDuration}, {NameContains: "old_rq_time", Side: metrics.Old, Class: metrics.ClassDuration},
		{NameContains: "new_rq", Side: metrics.New, Class: metrics.ClassCode}, {NameContains: "old_rq", Side: metrics.Old, Class: metrics.ClassCode},
	}}
	judge, err := metrics.NewJudge(metrics.DefaultJudgeConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		p, err := New(Options{URL: "http://p", Transport: said{status, body}})
		if err != nil {
			t.Fatal(err)
		}
		counters, state := metrics.NewCounters(q), metrics.State{}
		step := metrics.JudgeStep{Kind: metrics.StepWatch, Share: 0.1, Started: time.Unix(100, 0)}
		for _, to := range []time.Time{time.Unix(120, 0), time.Unix(140, 0)} {
			tick := metrics.Tick{From: to.Add(-20 * time.Second), To: to}
			series, err := p.Read(context.Background(), q, to, time.Minute)
			if err != nil {
				tick.Fault = err.Error()
			} else {
				counters, tick = counters.Step(series, tick.From, to)
			}
			for _, side := range []metrics.Side{metrics.New, metrics.Old} {
				c := tick.Total(side)
				for _, v := range []float64{c.Requests, c.Errors, c.Refused, c.Timed, c.Requests - c.Errors} {
					if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
						t.Fatalf("%s: %+v of %q", side, c, body)
					}
				}
			}
			var verdict metrics.Judgement
			if state, verdict = judge.Step(state, step, tick, to); verdict.Verdict == metrics.Pass && verdict.New.Requests < 20 {
				t.Fatalf("%+v of %q", verdict, body)
			}
		}
	})
}
