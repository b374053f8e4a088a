package metrics

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

// said is an inner judge with one verdict.
type said struct{ Judgement }

func (s said) Step(state State, _ JudgeStep, _ Tick, _ time.Time) (State, Judgement) {
	return State{Version: "said", Ticks: state.Ticks + 1}, s.Judgement
}

func limit(v float64) *float64 { return &v }

func orders(failures int) Check {
	return Check{Name: "orders", Query: "sum(orders)", Min: limit(5), Max: limit(100), Failures: failures}
}

func TestChecksAndTheJudge(t *testing.T) {
	none := math.NaN()
	for name, c := range map[string]struct {
		inner    Verdict
		failures int
		values   []float64
		want     Verdict
		says     string
	}{
		"all well":                   {Pass, 2, []float64{7}, Pass, "fine"},
		"well and waiting":           {Wait, 2, []float64{7}, Wait, "fine"},
		"one failure holds":          {Pass, 2, []float64{7, 4}, Wait, "check orders is 4, below 5"},
		"two fail":                   {Pass, 2, []float64{4, 101}, Fail, "check orders is 101, above 100, 2 times in a row"},
		"fails while it waits":       {Wait, 1, []float64{4}, Fail, "check orders is 4, below 5"},
		"fails without other data":   {NoData, 1, []float64{4}, Fail, "check orders"},
		"failures in between":        {Pass, 2, []float64{4, 5, 4, 100}, Pass, "fine"},
		"a gap is no success":        {Pass, 2, []float64{4, none, 4}, Fail, "2 times in a row"},
		"no value holds":             {Pass, 2, []float64{none}, Wait, "check orders has no value: the query gave NaN"},
		"no value for long":          {Pass, 2, []float64{none, none, none, none}, NoData, "has no value"},
		"no value for long, waiting": {Wait, 2, []float64{none, none, math.Inf(1), none}, NoData, "no data: check orders"},
		"harm found stands":          {Fail, 2, []float64{4}, Fail, "fine"},
		"inconclusive stands":        {Inconclusive, 2, []float64{4}, Inconclusive, "fine"},
	} {
		t.Run(name, func(t *testing.T) {
			j := Checked{Judge: said{Judgement{Verdict: c.inner, Reason: "fine"}}, Checks: []Check{orders(c.failures)}}
			var state State
			var got Judgement
			for _, v := range c.values {
				text, err := json.Marshal(state) // a restart between all ticks
				if err != nil || json.Unmarshal(text, &state) != nil {
					t.Fatal(err)
				}
				state, got = j.Step(state, JudgeStep{}, Tick{Readings: []Reading{{Query: "sent", Value: v}}}, start())
			}
			if got.Verdict != c.want || !strings.Contains(got.Reason, c.says) || len(got.Checks) != 1 || got.Checks[0].Query != "sent" {
				t.Errorf("%s: %s; %+v; want %s: %s", got.Verdict, got.Reason, got.Checks, c.want, c.says)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChecksWithoutReadings(t *testing.T) {
	j := Checked{Judge: said{Judgement{Verdict: Pass}}, Checks: []Check{orders(1)}}
	state, _ := j.Step(State{}, JudgeStep{}, Tick{Readings: []Reading{{Value: 4}}}, start())
	state, got := j.Step(state, JudgeStep{}, Tick{Fault: "no answer"}, start())
	if got.Verdict != Pass || len(got.Checks) != 0 || state.Checks[0].Failing != 1 {
		t.Errorf("%+v, %+v", got, state)
	}
	if state, got := (Checked{Judge: said{Judgement{Verdict: Pass}}}).Step(State{}, JudgeStep{}, Tick{}, start()); got.Verdict != Pass || state.Ticks != 1 {
		t.Errorf("%+v, %+v", got, state)
	}
}

func TestCheckTexts(t *testing.T) {
	for want, c := range map[string]Check{
		"is 7":                      {},
		"is 7, at least 5 is well":  {Min: limit(5)},
		"is 7, at most 100 is well": {Max: limit(100)},
		"is 7, within 5 to 100":     orders(1),
	} {
		if got := c.text(7); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	j := Checked{Judge: said{Judgement{Verdict: Pass}}, Checks: []Check{orders(1)}}
	if _, got := j.Step(State{}, JudgeStep{}, Tick{Readings: []Reading{{Err: "connection refused"}}}, start()); !strings.Contains(got.Reason, "has no value: connection refused") {
		t.Error(got.Reason)
	}
}
