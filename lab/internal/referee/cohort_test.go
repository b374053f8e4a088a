package referee_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestCohortOf(t *testing.T) {
	for id, want := range map[string]referee.Cohort{
		"5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0abc": 0xcba,
		"5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0001": 0x100,
		"5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0100": 0x001,
		"5b6f8f5e3f5b4a7e9c1d7e0f5a9d0ABC":     0xcba,
		"fff":                                  0xfff,
		"000":                                  0,
		"0a0":                                  0x0a0,
		"":                                     referee.Unknown,
		"ab":                                   referee.Unknown,
		"xyz":                                  referee.Unknown,
		"0g0":                                  referee.Unknown,
		"g00":                                  referee.Unknown,
		"00 ":                                  referee.Unknown,
	} {
		if got := referee.CohortOf(id); got != want {
			t.Errorf("CohortOf(%q) = %#x, want %#x", id, got, want)
		}
	}
}

func TestEveryCohortIsTheTailReadBackwards(t *testing.T) {
	for want := range referee.Cohorts {
		digits := fmt.Sprintf("%03x", want)
		id := "5b6f8f5e-3f5b-4a7e-9c1d-7e0f5a9d0" + string([]byte{digits[2], digits[1], digits[0]})
		if got := referee.CohortOf(id); int(got) != want {
			t.Fatalf("CohortOf(%q) = %d, want %d", id, got, want)
		}
		if got := referee.CohortOf(strings.ToUpper(id)); int(got) != want {
			t.Fatalf("CohortOf(upper %q) = %d, want %d", id, got, want)
		}
	}
}

func TestAWindowHoldsTheCohortsFromStartOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := windows().Draw(t, "window")
		want := map[referee.Cohort]bool{}
		for i := range w.Width {
			want[referee.Cohort((w.Start+i)%4096)] = true
		}
		for c := referee.Cohort(-1); c <= 4096; c++ {
			if got := w.Contains(c); got != want[c] {
				t.Fatalf("%+v contains %d: %t, want %t", w, c, got, want[c])
			}
		}
		if got := float64(len(want)) / 4096; got != w.Share() {
			t.Fatalf("%+v has share %g, want %g", w, w.Share(), got)
		}
	})
}

func TestWindowWrapsAround(t *testing.T) {
	w := referee.Window{Start: 4094, Width: 4}
	for c, want := range map[referee.Cohort]bool{4093: false, 4094: true, 4095: true, 0: true, 1: true, 2: false, -1: false} {
		if w.Contains(c) != want {
			t.Errorf("%+v contains %d: %t, want %t", w, c, !want, want)
		}
	}
}

func TestParseWindow(t *testing.T) {
	for text, want := range map[string]referee.Window{
		"0,4096":       {Start: 0, Width: 4096},
		" 4095 , 1 ":   {Start: 4095, Width: 1},
		"0x100,0x10":   {Start: 256, Width: 16},
		"12,0":         {Start: 12, Width: 0},
		"0xfff,0x1000": {Start: 4095, Width: 4096},
	} {
		if got, err := referee.ParseWindow(text); err != nil || got != want {
			t.Errorf("ParseWindow(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "5,", ",5", "a,b", "4096,1", "-1,1", "0,4097", "0,-1", "1,2,3", "1.5,2"} {
		if got, err := referee.ParseWindow(text); err == nil || !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("ParseWindow(%q) = %+v, %v; want an error that says what is allowed", text, got, err)
		}
	}
}
