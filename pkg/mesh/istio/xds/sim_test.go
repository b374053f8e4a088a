package xds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// sim is a mesh in virtual time: writes, istiods that see them late, gather and push them, proxies that apply and
// acknowledge late, and pushes for other reasons. It knows what every proxy really holds.
type sim struct {
	r       *rand.Rand
	now     time.Time
	writes  []write
	planes  []*simPlane
	proxies []*simProxy
}

// write is one state of the object; texts is what a concerned proxy's configuration shows.
type write struct {
	at    time.Time
	texts []string
}

type simPlane struct {
	id       string
	counter  uint64
	seen     int           // index of the newest write in the store
	scope    uint64        // the context that brought it
	lag      time.Duration // between a write and the store
	pushAt   time.Time
	contexts map[uint64]int // counter → index of the newest write in the context
}

// push is one response on its way.
type push struct {
	nonce                string
	write                int
	sent, applied, acked time.Time
	refused              bool
}

type simProxy struct {
	id        string
	plane     *simPlane
	concerned bool
	labelled  bool
	paused    bool
	private   bool // may not be read, so its istiod is asked
	refuses   bool // refuses every configuration with a write in it
	session   string
	sent      string
	still     string
	ackedN    string
	lastErr   string
	holds     int
	flight    []push
}

const simHost = "cart.shop.svc.cluster.local"

func newSim(seed uint64, planes, proxies int, concernedShare float64) *sim {
	s := &sim{r: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.writes = []write{{at: s.now}}
	for i := range planes {
		s.planes = append(s.planes, &simPlane{id: fmt.Sprintf("istio-system/istiod-%d", i), counter: 10, contexts: map[uint64]int{10: 0}})
	}
	for i := range proxies {
		pl := s.planes[i%planes]
		n := s.nonce(pl)
		s.proxies = append(s.proxies, &simProxy{
			id: fmt.Sprintf("shop/p%03d", i), plane: pl, concerned: s.r.Float64() < concernedShare || i < planes,
			sent: n, still: n, ackedN: n, session: "one", labelled: i%5 == 0,
		})
	}
	return s
}

func (s *sim) nonce(pl *simPlane) string {
	return fmt.Sprintf("%s/%d%08x-0000-4000-8000-%012x", s.now.Format(time.RFC3339), pl.counter, s.r.Uint32(), s.r.Uint64()>>16)
}

func (s *sim) upTo(d time.Duration) time.Duration { return time.Duration(s.r.Int64N(int64(d) + 1)) }

// write changes the object now.
func (s *sim) write(texts ...string) {
	s.writes = append(s.writes, write{at: s.now, texts: texts})
	for _, pl := range s.planes {
		pl.lag = s.upTo(200 * time.Millisecond)
	}
}

// tick lets 5 ms pass.
func (s *sim) tick() {
	s.now = s.now.Add(5 * time.Millisecond)
	for _, pl := range s.planes {
		s.tickPlane(pl)
	}
	for _, p := range s.proxies {
		s.tickProxy(p)
	}
}

func (s *sim) tickPlane(pl *simPlane) {
	if last := len(s.writes) - 1; pl.seen < last && s.now.Sub(s.writes[last].at) >= pl.lag {
		pl.seen = last
		if pl.pushAt.IsZero() {
			pl.pushAt = s.now.Add(100 * time.Millisecond)
		}
	}
	if s.r.IntN(60) == 0 && pl.pushAt.IsZero() { // somebody else's change
		pl.pushAt = s.now.Add(20 * time.Millisecond)
	}
	if pl.pushAt.IsZero() || s.now.Before(pl.pushAt) {
		return
	}
	pl.pushAt = time.Time{}
	before := pl.contexts[pl.counter]
	pl.counter++
	pl.contexts[pl.counter] = pl.seen
	if pl.seen > before {
		pl.scope = pl.counter
	}
	for _, p := range s.proxies {
		if p.plane == pl && (p.concerned && pl.seen > before || s.r.IntN(3) == 0) {
			s.send(p)
		}
	}
}

// send puts a response on its way, behind those before it: istiod notes it when it is sent, the proxy applies it, and
// istiod notes the acknowledgement.
func (s *sim) send(p *simProxy) {
	sent := s.now.Add(s.upTo(80 * time.Millisecond))
	if n := len(p.flight); n > 0 && sent.Before(p.flight[n-1].sent) {
		sent = p.flight[n-1].sent
	}
	at := sent.Add(s.upTo(250 * time.Millisecond))
	if n := len(p.flight); n > 0 && at.Before(p.flight[n-1].acked) {
		at = p.flight[n-1].acked
	}
	w := p.plane.contexts[p.plane.counter]
	p.flight = append(p.flight, push{nonce: s.nonce(p.plane), write: w, sent: sent, applied: at, acked: at.Add(s.upTo(40 * time.Millisecond)), refused: p.refuses && w > 0})
}

func (s *sim) tickProxy(p *simProxy) {
	for _, f := range p.flight {
		if !s.now.Before(f.sent) {
			p.sent = f.nonce
		}
	}
	if p.paused {
		return
	}
	for len(p.flight) > 0 && !s.now.Before(p.flight[0].applied) {
		f := p.flight[0]
		if !f.refused {
			p.holds = f.write
		}
		if s.now.Before(f.acked) {
			return
		}
		if f.refused {
			p.lastErr = "no such cluster"
		} else if p.sent == f.nonce { // istiod drops acknowledgements of anything but the last response
			p.ackedN, p.lastErr = f.nonce, ""
		}
		p.flight = p.flight[1:]
	}
}

// status is what istiod would answer.
func (s *sim) status(pl *simPlane) []Status {
	var out []Status
	for _, p := range s.proxies {
		if p.plane == pl {
			w := Watch{Sent: p.sent, Acked: p.ackedN, Error: p.lastErr}
			still := Watch{Sent: p.still, Acked: p.still}
			out = append(out, Status{Proxy: p.id, Type: "sidecar", Routes: w, Clusters: w, Listeners: still, Endpoints: still})
		}
	}
	return out
}

func (s *sim) find(id string) *simProxy {
	i := slices.IndexFunc(s.proxies, func(p *simProxy) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return s.proxies[i]
}

// read is what a proxy's own configuration says now.
func (s *sim) read(b *Barrier, pr Probe) []Reading {
	var out []Reading
	p := s.find(pr.Proxy)
	for _, scope := range pr.Scopes {
		r := Reading{Proxy: pr.Proxy, Scope: scope, Began: s.now}
		switch {
		case p == nil || p.plane == nil:
			r.Gone = true
		case p.paused && !p.private:
			r.Err = "no answer"
		default:
			holds := p.holds
			r.Session = p.session
			if p.private { // what istiod would send, as early as it can know
				holds = p.plane.contexts[p.plane.counter]
				r.Session, r.Plane, r.Version = p.plane.id, p.plane.id, Version{Counter: max(p.plane.scope, 1)}
			}
			texts := b.Texts(scope)
			content := ""
			if p.concerned {
				content = p.content(s.writes[holds])
			}
			for _, t := range texts[:len(texts)-1] {
				r.Found = append(r.Found, strings.Contains(content, t))
			}
			r.Host = strings.Contains(content, texts[len(texts)-1])
		}
		out = append(out, r)
	}
	return out
}

// labelledOnly begins a text that only labelled proxies show.
const labelledOnly = "labelled:"

func (p *simProxy) content(w write) string {
	out := simHost
	for _, text := range w.texts {
		bare, only := strings.CutPrefix(text, labelledOnly)
		if !only || p.labelled {
			out += "\n" + bare
		}
	}
	return out
}

// job is a reading under way: the content is taken at one time and arrives at a later one.
type job struct {
	arrives time.Time
	result  []Reading
}

// run follows a barrier until it is done, refused or out of time; it returns whether it was done and what was refused.
func (s *sim) run(b *Barrier, limit time.Duration) (bool, []Refusal) {
	var jobs []job
	end := s.now.Add(limit)
	next := s.now
	for s.now.Before(end) {
		s.tick()
		jobs = slices.DeleteFunc(jobs, func(j job) bool {
			if s.now.Before(j.arrives) {
				return false
			}
			b.Read(j.result, s.now)
			return true
		})
		if !s.now.Before(next) {
			var ids []string
			for _, pl := range s.planes {
				ids = append(ids, pl.id)
			}
			b.Planes(ids, s.now)
			for _, pl := range s.planes {
				b.Poll(pl.id, s.now, s.now, s.status(pl))
			}
			next = s.now.Add(50 * time.Millisecond)
		}
		for _, pr := range b.Probes(s.now, 8-len(jobs)) {
			jobs = append(jobs, job{arrives: s.now.Add(s.upTo(60 * time.Millisecond)), result: s.read(b, pr)})
		}
		if refused := b.Refused(s.now); len(refused) > 0 {
			return false, refused
		}
		if b.Done() {
			b.Remember()
			return true, nil
		}
	}
	b.Remember()
	return false, nil
}

// behind lists the concerned proxies that do not hold the newest write.
func (s *sim) behind() []string {
	var out []string
	for _, p := range s.proxies {
		if p.plane != nil && p.concerned && p.holds < len(s.writes)-1 {
			out = append(out, p.id)
		}
	}
	return out
}

func present(text string) mesh.Marker { return mesh.Marker{Scope: "routes", Text: text} }
func absent(text string) mesh.Marker {
	return mesh.Marker{Scope: "routes", Text: text, Absent: true}
}
