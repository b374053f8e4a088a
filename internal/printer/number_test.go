package printer

import (
	"math"
	"testing"
	"time"
)

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 4012.4: "4,012", 1234567: "1,234,567", -4012: "-4,012", -0.2: "0", math.Inf(1): "?"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%v) = %q, want %q", n, got, want)
		}
	}
}

func TestShareNeverRoundsToNothingOrToAll(t *testing.T) {
	for _, c := range []struct {
		part, whole float64
		want        string
	}{
		{0, 41, "0.0 %"}, {3, 4012, "0.1 %"}, {1, 100000, "0.001 %"}, {3, 100000, "0.003 %"}, {4, 10000, "0.04 %"}, {1, 1000, "0.1 %"}, {96, 100000, "0.1 %"},
		{123, 1000, "12.3 %"}, {9997, 10000, "> 99.9 %"}, {999, 1000, "99.9 %"}, {5, 5, "100 %"}, {1, 0, "? %"}, {0, 0, "? %"},
	} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("share(%v, %v) = %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 s", 400 * time.Millisecond: "0.4 s", 9940 * time.Millisecond: "9.9 s", 9960 * time.Millisecond: "10 s", time.Minute: "60 s",
		2 * time.Minute: "120 s", 200 * time.Second: "3 min 20 s", 5 * time.Minute: "5 min", 125 * time.Minute: "2 h 5 min",
		76 * time.Hour: "3 d 4 h", -5 * time.Second: "-5.0 s",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0:00", 69 * time.Second: "1:09", 3700 * time.Second: "1:01:40", -time.Second: "0:00"} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestOneLineDropsWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\tc":             "a b c",
		"red \x1b[31mtext":    "red [31mtext",
		"größe ≥ 5 · 東京":      "größe ≥ 5 · 東京",
		"back\u202ewards":     "backwards",
		"bad utf8 \xff\xfe":   "bad utf8",
		"  many   spaces    ": "many spaces",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
