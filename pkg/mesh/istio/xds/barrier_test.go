package xds

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/mesh"
)

func ask(markers ...mesh.Marker) Question { return Question{Markers: markers, Host: simHost} }

// TestDoneMeansDone is the one property that matters: whenever the barrier says that all hold a change, all do. Writes
// follow each other before the one before has reached everybody, proxies stop, and only labelled ones show some texts.
func TestDoneMeansDone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		planes := rapid.IntRange(1, 3).Draw(t, "istiods")
		s := newSim(seed, planes, rapid.IntRange(planes, 40).Draw(t, "proxies"), rapid.Float64Range(0, 1).Draw(t, "concerned"))
		m := NewMemory()
		private := rapid.SampledFrom([]float64{0, 0, 0.5, 1}).Draw(t, "private")
		for _, p := range s.proxies {
			p.private = s.r.Float64() < private
		}
		paused := rapid.IntRange(0, len(s.proxies)*3).Draw(t, "paused")
		split := false
		for step := range rapid.IntRange(1, 5).Draw(t, "writes") {
			var q Question
			q, split = change(s, step, split && rapid.Bool().Draw(t, "take back"), rapid.Bool().Draw(t, "by label"))
			limit := 20 * time.Second
			if rapid.IntRange(0, 2).Draw(t, "cut short") == 0 {
				limit = time.Duration(rapid.IntRange(0, 600).Draw(t, "limit")) * time.Millisecond
			}
			if paused < len(s.proxies) && step == 1 {
				s.proxies[paused].paused = true
			}
			done, refused := s.run(New(q, m, s.now), limit)
			if len(refused) > 0 {
				t.Fatalf("refused: %v", refused)
			}
			if behind := s.behind(); done && len(behind) > 0 {
				t.Fatalf("write %d: said done, but %v hold an older write", step, behind)
			}
			if stuck := paused < len(s.proxies) && step >= 1; !done && !stuck && limit > 10*time.Second {
				t.Fatalf("write %d: not done after %s: %+v", step, limit, s.behind())
			}
		}
	})
}

// change writes a split with a name of its own, or takes it back, and gives the question that proves it.
func change(s *sim, step int, back, byLabel bool) (q Question, split bool) {
	if back {
		s.write()
		return ask(absent("mp-new-r1-"), absent("mp-r1-old")), false
	}
	name, old := fmt.Sprintf("mp-new-r1-0-w%d", step), fmt.Sprintf("mp-r1-old-%d", step)
	if byLabel {
		s.write(labelledOnly+name, old)
		return ask(present(old)), true
	}
	s.write(name, old)
	return ask(present(name)), true
}

func TestStragglerIsNamed(t *testing.T) {
	s := newSim(1, 2, 20, 1)
	s.proxies[7].paused = true
	s.write("mp-new-x")
	b := New(ask(present("mp-new-x")), NewMemory(), s.now)
	if done, _ := s.run(b, 5*time.Second); done {
		t.Fatal("done although a proxy is paused")
	}
	c := b.Count()
	if len(c.Stragglers) != 1 || c.Stragglers[0] != "shop/p007" || c.Confirmed != 19 || c.Concerned != 20 {
		t.Fatalf("count %+v", c)
	}
	if why := b.Why("shop/p007"); why != "sent by istiod and not acknowledged" {
		t.Errorf("why: %q", why)
	}
	s.proxies[7].paused = false
	if done, _ := s.run(b, 5*time.Second); !done {
		t.Fatalf("not done after it went on: %+v", b.Count())
	}
}

func TestRefusalIsFound(t *testing.T) {
	s := newSim(2, 1, 10, 1)
	for _, p := range s.proxies[:3] {
		p.refuses = true
	}
	s.write("mp-new-x")
	done, refused := s.run(New(ask(present("mp-new-x")), NewMemory(), s.now), 5*time.Second)
	if done || len(refused) == 0 || refused[0].Message != "no such cluster" {
		t.Fatalf("done %v, refused %v", done, refused)
	}
}

// Proxies that refused a split are free of it; the way back need not wait for an acknowledgement that cannot come.
func TestRefusingProxyIsFreeOfWhatItRefused(t *testing.T) {
	s := newSim(9, 1, 10, 1)
	for _, p := range s.proxies[:2] {
		p.refuses = true
	}
	m := NewMemory()
	s.write("mp-new-r1-0", "mp-r1-old")
	if done, refused := s.run(New(ask(present("mp-new-r1-0")), m, s.now), 5*time.Second); done || len(refused) == 0 {
		t.Fatalf("done %v, refused %v", done, refused)
	}
	s.write()
	b := New(ask(absent("mp-new-r1-"), absent("mp-r1-old")), m, s.now)
	done, refused := s.run(b, 5*time.Second)
	if c := b.Count(); !done || len(refused) > 0 || c.Confirmed != 10 || c.Took < refusalPatience || c.Took > 3*time.Second {
		t.Fatalf("done %v, refused %v, %+v", done, refused, c)
	}
}

// A proxy that refuses and does hold the text is not free of it.
func TestRefusingProxyThatHoldsTheTextIsNotFree(t *testing.T) {
	s := newSim(10, 1, 5, 1)
	m := NewMemory()
	s.write("mp-new-r1-0")
	if done, _ := s.run(New(ask(present("mp-new-r1-0")), m, s.now), 5*time.Second); !done {
		t.Fatal("not done")
	}
	s.proxies[1].refuses = true
	s.write()
	if done, refused := s.run(New(ask(absent("mp-new-r1-")), m, s.now), 5*time.Second); done || len(refused) != 1 {
		t.Fatalf("done %v, refused %v", done, refused)
	}
}

// A proxy that refuses something else all the time and holds the change is no refusal.
func TestOldRefusalOfAnotherThingIsNone(t *testing.T) {
	s := newSim(3, 1, 6, 1)
	s.proxies[2].lastErr = "listener of somebody else"
	s.write("mp-new-x")
	if done, refused := s.run(New(ask(present("mp-new-x")), NewMemory(), s.now), 5*time.Second); !done || len(refused) > 0 {
		t.Fatalf("done %v, refused %v", done, refused)
	}
}

func TestVanishedProxyStopsCounting(t *testing.T) {
	s := newSim(4, 2, 12, 1)
	s.proxies[5].paused = true
	s.write("mp-new-x")
	b := New(ask(present("mp-new-x")), NewMemory(), s.now)
	s.run(b, 2*time.Second)
	s.proxies[5].plane = nil // the pod is deleted
	if done, _ := s.run(b, 3*time.Second); !done {
		t.Fatalf("not done: %+v", b.Count())
	}
	if c := b.Count(); c.Confirmed != 11 || c.Concerned != 11 {
		t.Fatalf("count %+v", c)
	}
}

// A proxy that was there in the last barrier and is connected to nobody now is missed.
func TestAwayProxyIsMissed(t *testing.T) {
	s := newSim(5, 1, 5, 1)
	m := NewMemory()
	s.write("mp-new-x")
	if done, _ := s.run(New(ask(present("mp-new-x")), m, s.now), 5*time.Second); !done {
		t.Fatal("not done")
	}
	away := &simPlane{id: "nowhere", contexts: map[uint64]int{}}
	s.proxies[3].plane = away
	s.write("mp-new-y")
	b := New(ask(present("mp-new-y")), m, s.now)
	if done, _ := s.run(b, 4*time.Second); done {
		t.Fatalf("done: %+v", b.Count())
	}
	if c := b.Count(); len(c.Stragglers) != 1 || c.Stragglers[0] != "shop/p003" {
		t.Fatalf("count %+v", c)
	}
}

func TestUnconcernedAreShownNotAssumed(t *testing.T) {
	s := newSim(6, 1, 30, 0)
	m := NewMemory()
	s.write("mp-new-x")
	b := New(ask(present("mp-new-x")), m, s.now)
	if done, _ := s.run(b, 10*time.Second); !done {
		t.Fatalf("not done: %+v", b.Count())
	}
	if c := b.Count(); c.Unconcerned+c.Concerned != 30 || c.Unconcerned == 0 {
		t.Fatalf("count %+v", c)
	}
}

// With named proxies, each speaks for itself: a label changes a proxy without a new version.
func TestNamedProxiesSpeakForThemselves(t *testing.T) {
	s := newSim(7, 1, 10, 1)
	s.write("mp-new-x")
	s.proxies[1].paused = true
	b := New(Question{Markers: []mesh.Marker{present("mp-new-x")}, Host: simHost, Only: []string{"shop/p001", "shop/p002"}}, NewMemory(), s.now)
	if done, _ := s.run(b, 3*time.Second); done {
		t.Fatal("done although a named proxy is paused")
	}
	if c := b.Count(); c.Confirmed != 1 || c.Concerned != 2 {
		t.Fatalf("count %+v", c)
	}
	s.proxies[1].paused = false
	if done, _ := s.run(b, 3*time.Second); !done {
		t.Fatalf("not done: %+v", b.Count())
	}
}

// An istiod that restarts begins its counter anew: what its old versions proved is void.
func TestRestartedIstiodStartsAnew(t *testing.T) {
	s := newSim(8, 1, 10, 1)
	s.write("mp-new-x")
	b := New(ask(present("mp-new-x")), NewMemory(), s.now)
	s.run(b, 400*time.Millisecond)
	pl := s.planes[0]
	pl.counter, pl.scope = 1, 1
	pl.contexts = map[uint64]int{1: 0}
	pl.seen = 0
	for _, p := range s.proxies {
		p.flight, p.sent, p.ackedN, p.holds = nil, s.nonce(pl), "", 0
		p.ackedN, p.still = p.sent, p.sent
	}
	done, _ := s.run(b, 10*time.Second)
	if behind := s.behind(); !done || len(behind) > 0 {
		t.Fatalf("done %v, behind %v", done, behind)
	}
}

func TestSilentIstiodIsNamed(t *testing.T) {
	b := New(ask(present("x")), NewMemory(), time.Now())
	b.Planes([]string{"istio-system/istiod-0"}, time.Now())
	b.Trouble("istio-system/istiod-0", "connection refused")
	if b.Done() {
		t.Fatal("done although no istiod has answered")
	}
	want := "the proxies of istiod istio-system/istiod-0 (connection refused)"
	if c := b.Count(); len(c.Stragglers) != 1 || c.Stragglers[0] != want {
		t.Fatalf("count %+v", c)
	}
}
