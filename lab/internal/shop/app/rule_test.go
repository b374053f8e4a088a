package app

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

func TestParseRules(t *testing.T) {
	body := `[{"path":"/","delay":"150ms","jitter":"50ms","failRatio":0.5,"failCode":429,"failStatus":8,"failAttempts":1,` +
		`"slowRatio":0.25,"slowDelay":"2s","hangRatio":0.125,"resetRatio":0.125,"maxInFlight":10},{"path":"/x"}]`
	rules, err := ParseRules([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := json.Marshal(rules); err != nil || string(out) != body {
		t.Errorf("read and written: %s, %v", out, err)
	}
	if rules, err := ParseRules([]byte(`[]`)); err != nil || len(rules) != 0 {
		t.Errorf("no rules: %v, %v", rules, err)
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{"path":"/"}`:                                   "field (the whole body) is {\"path\":\"/\"}; allowed: a JSON array of objects",
		`[{}]`:                                           `field [0].path is ""; allowed: a prefix that starts with /`,
		`[{"path":"x"}]`:                                 `field [0].path is "x"; allowed: a prefix that starts with /`,
		`[{"path":"/"},{"path":"/"}]`:                    `field [1].path is "/"; allowed: each path once`,
		`[{"path":"/","delay":"-1s"}]`:                   "field [0].delay is -1s; allowed: 0s to 10m0s",
		`[{"path":"/","jitter":"11m"}]`:                  "field [0].jitter is 11m0s; allowed: 0s to 10m0s",
		`[{"path":"/","failRatio":1.5}]`:                 "field [0].failRatio is 1.5; allowed: 0 to 1",
		`[{"path":"/","hangRatio":-0.1}]`:                "field [0].hangRatio is -0.1; allowed: 0 to 1",
		`[{"path":"/","failCode":200}]`:                  "field [0].failCode is 200; allowed: 400 to 599",
		`[{"path":"/","failStatus":17}]`:                 "field [0].failStatus is 17; allowed: 1 to 16, a status of gRPC",
		`[{"path":"/","failAttempts":-1}]`:               "field [0].failAttempts is -1; allowed: 0 (no limit) or more",
		`[{"path":"/","maxInFlight":-1}]`:                "field [0].maxInFlight is -1; allowed: 0 (no limit) or more",
		`[{"path":"/","slowRatio":0.5}]`:                 "field [0].slowDelay is 0s; allowed: more than 0s if, and only if, slowRatio is",
		`[{"path":"/","slowDelay":"1s"}]`:                "field [0].slowDelay is 1s; allowed: more than 0s if, and only if, slowRatio is",
		`[{"path":"/a"},{"path":"/","x":1}]`:             "field [1].x is not known; allowed: a field called delay, failAttempts,",
		`[{"path":"/","delay":5}]`:                       `field [0].delay is 5; allowed: a duration as a string, such as "150ms" or "2s"`,
		`[{"path":"/","failRatio":0.6,"hangRatio":0.5}]`: "field [0].hangRatio is 0.5; allowed: a value that keeps the sum",
	} {
		if _, err := ParseRules([]byte(body)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", body, err, want)
		}
	}
}

func TestDecideGivesEachActionItsRatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := func(name string) float64 { return float64(rapid.IntRange(0, 25).Draw(t, name)) / 100 }
		r := Rule{HangRatio: part("hang"), ResetRatio: part("reset"), FailRatio: part("fail"), SlowRatio: part("slow")}
		got := map[action]int{}
		for i := range 10_000 {
			got[r.decide((float64(i)+0.5)/10_000, 1)]++
		}
		for act, ratio := range map[action]float64{
			actHang: r.HangRatio, actReset: r.ResetRatio, actFail: r.FailRatio, actSlow: r.SlowRatio,
		} {
			if difference := got[act] - int(ratio*10_000+0.5); difference < -1 || difference > 1 {
				t.Fatalf("%s: %d of 10000, ratio %g", act, got[act], ratio)
			}
		}
	})
}

func TestFailuresOfTheFirstAttemptsOnly(t *testing.T) {
	r := Rule{FailRatio: 1, FailAttempts: 2}
	for attempt, want := range map[int]action{1: actFail, 2: actFail, 3: actAnswer} {
		if got := r.decide(0.5, attempt); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
	if (Rule{}).failCode() != 503 || (Rule{FailCode: 429}).failCode() != 429 {
		t.Error("the status of a failure")
	}
}

func TestWaits(t *testing.T) {
	ms := func(n int) jsonhttp.Duration { return jsonhttp.Duration(time.Duration(n) * time.Millisecond) }
	r := Rule{Delay: ms(100), Jitter: ms(50), SlowRatio: 1, SlowDelay: ms(1000)}
	for _, c := range []struct {
		act  action
		draw float64
		want time.Duration
	}{{actAnswer, 0, 100e6}, {actFail, 0.5, 125e6}, {actSlow, 0.5, 1125e6}} {
		if got := r.wait(c.act, c.draw); got != c.want {
			t.Errorf("%s, %g: %s, want %s", c.act, c.draw, got, c.want)
		}
	}
}
