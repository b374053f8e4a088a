package xds

import (
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh"
)

const (
	// settle is the time between the end of reading a witness and the poll that says what it was sent: istiod notes a
	// nonce some microseconds after it has sent it, which a fast proxy and a slow istiod could turn around.
	settle = 20 * time.Millisecond
	// maxPatience is how long a proxy may stay behind before it is asked directly.
	maxPatience = 2 * time.Second
	// rereadSoon and rereadLate are how soon a reading may be repeated where nothing tells that it would differ.
	rereadSoon = 150 * time.Millisecond
	rereadLate = time.Second
	// quiet is how long after the write an absence counts that nobody was seen to become: longer than istiod gathers
	// changes before it pushes them (PILOT_DEBOUNCE_AFTER is 0.1 s).
	quiet = time.Second
)

// Question is what every proxy must hold.
type Question struct {
	Markers []mesh.Marker
	// Host is the host whose routes or clusters changed; empty: every proxy is concerned.
	Host string
	// Only limits the question to these proxies ("namespace/pod"), each of which is read itself. A label of a pod
	// changes its configuration without a new version, so no other proxy can be a witness for it.
	Only []string
}

// Barrier follows one change until every concerned proxy holds it. It is not safe for concurrent use.
type Barrier struct {
	question Question
	byScope  map[Scope][]mesh.Marker
	scopes   []Scope
	only     map[string]bool
	memory   *Memory
	began    time.Time
	proven   time.Time

	planes  map[string]*plane
	proxies map[string]*proxy
}

// plane is one istiod process.
type plane struct {
	answered bool
	trouble  string
	// threshold is the version from which on the change is in every configuration.
	threshold map[Scope]Version
	pending   []pending
}

// pending is a witness whose sent version is not known yet.
type pending struct {
	proxy string
	scope Scope
	// after is when a poll may begin that tells it.
	after time.Time
	// vouched is the version of the proxy's scope where its istiod spoke for it; nonces is what it had got by since.
	vouched Version
	nonces  string
	since   time.Time
}

// seat is a proxy's connection to one istiod.
type seat struct {
	now, first Status
	// sentAt is when the newest response was first seen to be sent.
	sentAt time.Time
	proved map[Scope]bool
}

// outcome is what a proxy's own configuration says.
type outcome int

const (
	unread outcome = iota
	holds
	lacks
	blind
	// weak is an absence that nobody was seen to become: it counts once the proxy has stayed as it was.
	weak
)

// answer is the last reading of one scope of one proxy.
type answer struct {
	outcome outcome
	// nonces are what istiod had sent and the proxy had acknowledged before the reading began.
	nonces string
	ended  time.Time
	// refusing tells that the proxy had refused something before the reading began.
	refusing bool
	// lacked is the session in which it was seen without the change since the barrier began.
	lacked string
	err    string
}

type proxy struct {
	id      string
	seats   map[string]*seat
	answers map[Scope]answer
	// reading, tried, readAt, readOf and readRefusing are about the last probe.
	reading, tried, readRefusing bool
	readAt                       time.Time
	readOf                       string
	// missing is since when it is connected nowhere; gone says that its pod does not exist.
	missing time.Time
	gone    bool
}

// New begins to follow a change that was written before.
func New(q Question, m *Memory, now time.Time) *Barrier {
	b := &Barrier{
		question: q, byScope: map[Scope][]mesh.Marker{}, only: map[string]bool{}, memory: m, began: now, proven: now,
		planes: map[string]*plane{}, proxies: map[string]*proxy{},
	}
	for _, marker := range q.Markers {
		scope := Scope(marker.Scope)
		if !slices.Contains(b.scopes, scope) {
			b.scopes = append(b.scopes, scope)
		}
		b.byScope[scope] = append(b.byScope[scope], marker)
	}
	for _, p := range q.Only {
		b.only[p] = true
		b.proxy(p).missing = now
	}
	if len(b.only) == 0 {
		for p := range m.roster {
			b.proxy(p).missing = now
		}
	}
	return b
}

func (b *Barrier) proxy(id string) *proxy {
	p := b.proxies[id]
	if p == nil {
		p = &proxy{id: id, seats: map[string]*seat{}, answers: map[Scope]answer{}}
		b.proxies[id] = p
	}
	return p
}

func (b *Barrier) plane(id string) *plane {
	p := b.planes[id]
	if p == nil {
		p = &plane{threshold: map[Scope]Version{}}
		b.planes[id] = p
	}
	return p
}

// Planes says which istiods there are now. One that is gone takes its connections with it.
func (b *Barrier) Planes(ids []string, now time.Time) {
	for _, id := range ids {
		b.plane(id)
	}
	for id := range b.planes {
		if !slices.Contains(ids, id) {
			delete(b.planes, id)
			b.leave(id, nil, now)
		}
	}
}

// Trouble notes that an istiod could not be asked.
func (b *Barrier) Trouble(id, why string) { b.plane(id).trouble = why }

// Poll takes what one istiod says. Began is when it was asked. Where it turns out to be another process than before, all
// that was concluded from versions is void: a new process counts anew.
func (b *Barrier) Poll(id string, began, now time.Time, list []Status) {
	pl := b.plane(id)
	if pl.answered && !b.continues(id, list) {
		pl.threshold, pl.pending = map[Scope]Version{}, nil
		b.leave(id, nil, now)
	}
	pl.answered, pl.trouble = true, ""
	present := make(map[string]bool, len(list))
	for _, s := range list {
		if b.counts(s) {
			present[s.Proxy] = true
			b.sit(id, s, now)
		}
	}
	b.leave(id, present, now)
	b.admit(id, pl, began, now)
	b.conclude(id, pl, began, now)
}

// continues tells whether an answer is the same process's as the one before: a nonce has a random part, so one that was
// there before is proof. Where none is left, nothing is lost but time.
func (b *Barrier) continues(id string, list []Status) bool {
	known := false
	for _, s := range list {
		p := b.proxies[s.Proxy]
		if p == nil || p.seats[id] == nil {
			continue
		}
		known = true
		was := p.seats[id].now
		for _, pair := range [][2]Watch{{was.Routes, s.Routes}, {was.Clusters, s.Clusters}, {was.Endpoints, s.Endpoints}, {was.Listeners, s.Listeners}} {
			if pair[0].Sent != "" && pair[0].Sent == pair[1].Sent {
				return true
			}
		}
	}
	return !known && !b.seatedAny(id)
}

func (b *Barrier) seatedAny(id string) bool {
	for _, p := range b.proxies {
		if p.seats[id] != nil {
			return true
		}
	}
	return false
}

// counts tells whether a proxy can hold routes and clusters at all, and is asked for.
func (b *Barrier) counts(s Status) bool {
	if s.Type == "ztunnel" || s.Type == "agentgateway" {
		return false
	}
	return len(b.only) == 0 || b.only[s.Proxy]
}

func (b *Barrier) sit(id string, s Status, now time.Time) {
	p := b.proxy(s.Proxy)
	st := p.seats[id]
	if st == nil {
		p.missing, p.gone = time.Time{}, false
		p.seats[id] = &seat{now: s, first: s, sentAt: now, proved: map[Scope]bool{}}
		return
	}
	for _, scope := range b.scopes {
		if st.now.watch(scope).Sent != s.watch(scope).Sent {
			st.sentAt = now
		}
	}
	st.now = s
}

// leave takes the connections away that an istiod has no more.
func (b *Barrier) leave(id string, present map[string]bool, now time.Time) {
	for _, p := range b.proxies {
		if p.seats[id] == nil || present[p.id] {
			continue
		}
		delete(p.seats, id)
		if len(p.seats) == 0 {
			p.missing = now
		}
	}
}

// patience is how long proxies may stay behind before they are asked directly: in a small mesh asking costs nothing.
func (b *Barrier) patience() time.Duration {
	return min(300*time.Millisecond+2*time.Millisecond*time.Duration(len(b.proxies)), maxPatience)
}
