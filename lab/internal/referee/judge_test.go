package referee_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestCount(t *testing.T) {
	all := []referee.Record{
		{Outcome: 200, ExpectedTimeout: 500, Attempt: 1},
		{Outcome: 200, ExpectedTimeout: 1000, Attempt: 2, Flags: referee.Resent},
		{Outcome: 504},
		{Outcome: referee.Reset, Flags: referee.Resent | referee.IDChanged | referee.Stale},
		{Outcome: referee.Stopped},
	}
	got := referee.Count(all, referee.Bad)
	if got.Total != 5 || got.Bad != 2 || got.Resent != 2 || got.IDChanged != 1 || got.Stale != 1 {
		t.Errorf("%+v", got)
	}
	if got.Outcomes[200] != 2 || got.Outcomes[504] != 1 || got.Outcomes[referee.Reset] != 1 || len(got.Outcomes) != 4 {
		t.Errorf("outcomes %v", got.Outcomes)
	}
	if got.ExpectedTimeouts[500] != 1 || got.ExpectedTimeouts[1000] != 1 || got.ExpectedTimeouts[0] != 3 {
		t.Errorf("timeouts %v", got.ExpectedTimeouts)
	}
	if got.Attempts[1] != 1 || got.Attempts[2] != 1 || got.Attempts[0] != 3 {
		t.Errorf("attempts %v", got.Attempts)
	}
}

func TestSplitAndCompareAgreeWithCountingByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(records(1, 1)).Draw(t, "records")
		w := windows().Draw(t, "window")
		var in, out, unknown, inBad, outBad int
		for _, r := range all {
			offset := int(r.Cohort) - w.Start
			if offset < 0 {
				offset += 4096
			}
			switch {
			case r.Cohort < 0:
				unknown++
			case offset < w.Width:
				in++
				inBad += btoi(referee.Bad(r))
			default:
				out++
				outBad += btoi(referee.Bad(r))
			}
		}
		h := referee.Split(all, w, referee.Bad)
		if h.In.Total != in || h.Out.Total != out || h.Unknown.Total != unknown || h.In.Bad != inBad || h.Out.Bad != outBad {
			t.Fatalf("%+v; by hand %d %d %d, bad %d %d", h, in, out, unknown, inBad, outBad)
		}
		if s := h.Share(w); s.Hits != in || s.N != in+out || s.Expected != w.Share() {
			t.Fatalf("share %+v", s)
		}
		c := referee.Compare(all, w, referee.Bad)
		want := referee.Cross{
			InPicked: inBad, InOther: in - inBad, OutPicked: outBad, OutOther: out - outBad,
			UnknownPicked: h.Unknown.Bad, UnknownOther: unknown - h.Unknown.Bad,
		}
		if c != want || c.Misplaced() != in-inBad+outBad {
			t.Fatalf("cross %+v, want %+v", c, want)
		}
	})
}

func btoi(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		hits, n  int
		expected float64
		want     referee.Share
	}{
		"nothing":    {0, 0, 0.1, referee.Share{Expected: 0.1}},
		"exact":      {10, 100, 0.1, referee.Share{Hits: 10, N: 100, Seen: 0.1, Expected: 0.1, StandardError: 0.03}},
		"two off":    {16, 100, 0.1, referee.Share{Hits: 16, N: 100, Seen: 0.16, Expected: 0.1, StandardError: 0.03, Off: 2}},
		"below":      {7, 100, 0.1, referee.Share{Hits: 7, N: 100, Seen: 0.07, Expected: 0.1, StandardError: 0.03, Off: -1}},
		"none of 0":  {0, 100, 0, referee.Share{N: 100}},
		"all of 1":   {9, 9, 1, referee.Share{Hits: 9, N: 9, Seen: 1, Expected: 1}},
		"some of 0":  {1, 100, 0, referee.Share{Hits: 1, N: 100, Seen: 0.01, Off: math.MaxFloat64}},
		"not all 1s": {99, 100, 1, referee.Share{Hits: 99, N: 100, Seen: 0.99, Expected: 1, Off: -math.MaxFloat64}},
	} {
		got := referee.NewShare(c.hits, c.n, c.expected)
		near := func(a, b float64) bool { return a == b || math.Abs(a-b) < 1e-12 }
		if got.Hits != c.want.Hits || got.N != c.want.N || !near(got.Seen, c.want.Seen) ||
			!near(got.StandardError, c.want.StandardError) || !near(got.Off, c.want.Off) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if referee.NewShare(0, 0, 0.5).Within(100) {
		t.Error("no request at all is within anything")
	}
	if !referee.NewShare(16, 100, 0.1).Within(2.001) || referee.NewShare(16, 100, 0.1).Within(1.999) {
		t.Error("two standard errors off")
	}
}

// The standard error is right when the share of fair coins is off by more than two of them about 4.6 % of the time.
func TestStandardErrorIsThatOfChance(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := referee.Window{Start: 4000, Width: 410}
	far := 0
	for range 2000 {
		all := make([]referee.Record, 1000)
		for i := range all {
			all[i].Cohort = referee.Cohort(random.IntN(4096))
		}
		if !referee.Split(all, w, referee.Bad).Share(w).Within(2) {
			far++
		}
	}
	if far < 60 || far > 130 {
		t.Errorf("%d of 2000 shares are more than two standard errors off, expected about 91", far)
	}
}

func TestHarmed(t *testing.T) {
	all := []referee.Record{
		at(5*time.Second, 504, 1), at(1*time.Second, 200, 2), at(2*time.Second, 503, 3),
		at(9*time.Second, referee.Reset, referee.Unknown), at(3*time.Second, referee.Stopped, 5),
	}
	h := referee.Harmed(all, referee.Interval{}, referee.Bad)
	if h.Total != 5 || h.Bad != 3 || *h.First != all[2] || *h.Last != all[3] || h.Span() != 7*time.Second {
		t.Errorf("%+v", h)
	}
	h = referee.Harmed(all, referee.Interval{From: epoch.Add(3 * time.Second), Until: epoch.Add(9 * time.Second)}, referee.Bad)
	if h.Total != 2 || h.Bad != 1 || *h.First != all[0] || *h.Last != all[0] || h.Span() != 0 {
		t.Errorf("%+v", h)
	}
	h = referee.Harmed(all, referee.Interval{From: epoch, Until: epoch}, referee.Bad)
	if h != (referee.Harm{}) || h.Span() != 0 {
		t.Errorf("an empty interval has harm %+v", h)
	}
}

func TestHarmIsTheHarmOfItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(records(1, 1)).Draw(t, "records")
		cut := epoch.Add(time.Duration(rapid.Int64Range(-6e6, 24e6).Draw(t, "cut")) * time.Microsecond)
		whole := referee.Harmed(all, referee.Interval{}, referee.Bad)
		before := referee.Harmed(all, referee.Interval{Until: cut}, referee.Bad)
		after := referee.Harmed(all, referee.Interval{From: cut}, referee.Bad)
		if before.Bad+after.Bad != whole.Bad || before.Total+after.Total != whole.Total {
			t.Fatalf("%+v and %+v of %+v", before, after, whole)
		}
		if (whole.Bad == 0) != (whole.First == nil) || (whole.Bad == 0) != (whole.Last == nil) {
			t.Fatalf("%+v", whole)
		}
		for _, r := range all {
			if referee.Bad(r) && (r.Start().Before(whole.First.Start()) || r.Start().After(whole.Last.Start())) {
				t.Fatalf("%+v is outside first and last of %+v", r, whole)
			}
		}
	})
}

func TestByServer(t *testing.T) {
	v1, v2 := referee.Server{Pod: "a", Version: "v1"}, referee.Server{Pod: "a", Version: "v2"}
	log := referee.Log{Servers: []referee.Server{v1, v2}, Records: []referee.Record{
		{Outcome: 200, Server: 0}, {Outcome: 503, Server: 1}, {Outcome: 503, Server: 1}, {Outcome: 504, Server: referee.NoServer},
	}}
	got := log.ByServer(log.Records, referee.Bad)
	if len(got) != 3 || got[v1].Total != 1 || got[v2].Bad != 2 || got[referee.Server{}].Bad != 1 {
		t.Errorf("%+v", got)
	}
}
