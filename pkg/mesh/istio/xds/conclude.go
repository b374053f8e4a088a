package xds

import (
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// Reading is what one scope of a proxy's own configuration says.
type Reading struct {
	Proxy string
	Scope Scope
	// Session names the connection to the pod: with another pod of the same name it is another one.
	Session string
	Began   time.Time
	// Found tells for each marker of the scope, in the order of Barrier.Texts, whether its text is there; Host
	// whether the host is.
	Found []bool
	Host  bool
	// Plane and Version are set where not the proxy was asked but its istiod: the configuration is what that istiod
	// would send it, and Version, asked for after it, that of the proxy's scope.
	Plane   string
	Version Version
	// Err says why it could not be read; Gone that its pod does not exist.
	Err  string
	Gone bool
}

// Texts are the texts to look for in a scope: those of the markers, then the host.
func (b *Barrier) Texts(scope Scope) []string {
	out := make([]string, 0, len(b.byScope[scope])+1)
	for _, m := range b.byScope[scope] {
		out = append(out, m.Text)
	}
	return append(out, b.question.Host)
}

// Read takes the end of a probe: one reading for every scope that was asked for. What it proves of other proxies shows
// at the next poll.
func (b *Barrier) Read(readings []Reading, now time.Time) {
	for _, r := range readings {
		p := b.proxy(r.Proxy)
		before := b.proved(p)
		p.reading = false
		if r.Gone && len(p.seats) == 0 || r.Gone && b.local(p) {
			p.gone = true
			b.memory.forget(p.id)
			continue
		}
		p.answers[r.Scope] = b.weigh(p, r, now)
		if !before && b.proved(p) {
			b.proven = now
		}
	}
}

// local tells whether a proxy is in the Kubernetes cluster that most proxies are in: only there does a pod that cannot
// be found not exist.
func (b *Barrier) local(p *proxy) bool {
	count := map[string]int{}
	for _, q := range b.proxies {
		for _, st := range q.seats {
			count[st.now.Cluster]++
		}
	}
	for _, st := range p.seats {
		for _, n := range count {
			if count[st.now.Cluster] < n {
				return false
			}
		}
	}
	return true
}

// weigh judges one reading.
func (b *Barrier) weigh(p *proxy, r Reading, now time.Time) answer {
	last := p.answers[r.Scope]
	a := answer{nonces: p.readOf, ended: now, refusing: p.readRefusing, lacked: last.lacked, err: r.Err, outcome: lacks}
	if r.Err != "" {
		a.outcome = last.outcome
		return a
	}
	markers := b.byScope[r.Scope]
	satisfied, concerned := true, r.Host
	for i, m := range markers {
		satisfied = satisfied && r.Found[i] != m.Absent
		concerned = concerned || r.Found[i]
	}
	changed := b.changed(p, r, last)
	b.memory.saw(p.id, r.Session, markers, r.Found)
	if r.Plane != "" {
		changed = changed || r.Began.Sub(b.began) >= quiet
		return b.vouched(p, r, a, satisfied, concerned, changed, now)
	}
	switch {
	case !concerned && b.settled(p, r.Scope) && b.grown(p):
		a.outcome = blind
		b.memory.blind[blindKey{p.id, b.question.Host, r.Scope}] = a.nonces
	case !concerned:
		a.outcome = unread
	case !satisfied:
		a.lacked = r.Session
	case changed:
		a.outcome = holds
		b.nominate(p, r.Scope, now)
	case r.Began.Sub(b.began) >= quiet && b.still(p, r.Scope, now):
		a.outcome = weak
	default:
		a.outcome = unread
	}
	return a
}

// vouched judges what an istiod would send a proxy. It makes a threshold, and tells who does not see the host; that a
// proxy holds the change is for the proxy to say, by acknowledging.
func (b *Barrier) vouched(p *proxy, r Reading, a answer, satisfied, concerned, changed bool, now time.Time) answer {
	pl := b.planes[r.Plane]
	a.outcome = unread
	switch {
	case concerned && satisfied && changed && pl != nil && len(b.only) == 0:
		pl.pending = append(pl.pending, pending{proxy: p.id, scope: r.Scope, after: now, vouched: r.Version, nonces: b.nonces(p), since: now})
	case !concerned && b.settled(p, r.Scope) && b.grown(p) && b.unmistakable(p):
		a.outcome = blind
	case concerned && !satisfied:
		a.lacked = r.Session
	}
	return a
}

// unmistakable tells whether istiod can mean no other proxy: it looks for a name that contains the one it is asked for.
func (b *Barrier) unmistakable(p *proxy) bool {
	namespace, name, _ := strings.Cut(p.id, "/")
	for id := range b.proxies {
		if ns, other, _ := strings.Cut(id, "/"); ns == namespace && other != name && strings.HasSuffix(other, name) {
			return false
		}
	}
	return true
}

// changed tells whether a satisfying reading shows this change and no earlier state. A text that is there shows it. A
// text that is not there shows it only where the same proxy was seen otherwise before: a proxy may lack a text
// because the write that brought it has not come yet.
func (b *Barrier) changed(p *proxy, r Reading, last answer) bool {
	markers := b.byScope[r.Scope]
	return !anyAbsent(markers) || (last.lacked != "" && last.lacked == r.Session) || b.memory.sawAny(p.id, r.Session, markers)
}

func anyAbsent(markers []mesh.Marker) bool {
	return slices.ContainsFunc(markers, func(m mesh.Marker) bool { return m.Absent })
}

// grown tells whether a proxy has got its listeners: before that it has nothing and proves nothing.
func (b *Barrier) grown(p *proxy) bool {
	for _, st := range p.seats {
		if st.now.Listeners.Sent == "" || !st.now.Listeners.Settled() {
			return false
		}
	}
	return true
}

// nominate makes a proxy a witness for the istiods it is connected to. With named proxies there are none.
func (b *Barrier) nominate(p *proxy, scope Scope, now time.Time) {
	if len(b.only) > 0 {
		return
	}
	for id := range p.seats {
		if pl := b.planes[id]; pl != nil {
			pl.pending = append(pl.pending, pending{proxy: p.id, scope: scope, after: now.Add(settle)})
		}
	}
}

// admit turns witnesses into thresholds: what a witness was sent last is at least as new as what it was seen to hold.
func (b *Barrier) admit(id string, pl *plane, began, now time.Time) {
	var open []pending
	for _, w := range pl.pending {
		p := b.proxies[w.proxy]
		st := p.seats[id]
		switch {
		case st == nil:
		case began.Before(w.after):
			open = append(open, w)
		case !w.vouched.Known() || st.now.acked(w.vouched):
			pl.lower(w.scope, ParseNonce(st.now.watch(w.scope).Sent))
		case b.nonces(p) != w.nonces || !b.settled(p, w.scope):
			w.nonces, w.since = b.nonces(p), now
			open = append(open, w)
		case now.Sub(w.since) >= quiet:
			pl.lower(w.scope, ParseNonce(st.now.watch(w.scope).Sent))
		default:
			open = append(open, w)
		}
	}
	pl.pending = open
}

// acked tells whether a proxy has acknowledged anything of a version or a later one. Istiod takes acknowledgements only
// after it has sent all that is to be sent of a version.
func (s Status) acked(v Version) bool {
	for _, w := range []Watch{s.Routes, s.Clusters, s.Endpoints, s.Listeners} {
		if ParseNonce(w.Acked).AtLeast(v) {
			return true
		}
	}
	return false
}

// lower takes a version for the threshold where it is the lowest so far.
func (pl *plane) lower(scope Scope, v Version) {
	if have := pl.threshold[scope]; v.Known() && (!have.Known() || have.AtLeast(v)) {
		pl.threshold[scope] = v
	}
}

// conclude notes what the newest facts prove. Polled is when the istiod was asked.
func (b *Barrier) conclude(id string, pl *plane, polled, now time.Time) {
	for _, p := range b.proxies {
		st := p.seats[id]
		before := b.proved(p)
		if (st == nil && len(p.seats) > 0) || (before && b.unchanged(p)) {
			continue
		}
		for _, scope := range b.scopes {
			if st != nil && len(b.only) == 0 && !st.proved[scope] && acknowledged(st.now, scope, pl.threshold[scope]) {
				st.proved[scope] = true
				b.memory.proved(p.id, b.byScope[scope])
			}
			b.recall(p, scope, polled)
		}
		if !before && b.proved(p) {
			b.proven = now
		}
	}
}

// unchanged tells that no scope of a proxy rests on a reading that something newer may have overtaken.
func (b *Barrier) unchanged(p *proxy) bool {
	for _, scope := range b.scopes {
		if p.answers[scope].outcome == blind && !provedBySeats(p, scope) {
			return false
		}
	}
	return true
}

// acknowledged tells whether a proxy acknowledged a version with the change in it. A new cluster is in use only when
// its endpoints have come, which Envoy asks for after it took the cluster: so nothing of them may be under way.
func acknowledged(s Status, scope Scope, threshold Version) bool {
	if scope == Clusters && !s.Endpoints.Settled() {
		return false
	}
	return ParseNonce(s.watch(scope).Acked).AtLeast(threshold)
}

// recall uses what an earlier barrier learned of a proxy that has got nothing since, confirms a weak absence once the
// proxy has stayed as it was, and takes back that a proxy does not see the host where it has got something since.
func (b *Barrier) recall(p *proxy, scope Scope, polled time.Time) {
	if provedBySeats(p, scope) {
		return
	}
	a := p.answers[scope]
	nonces, settled := b.nonces(p), b.settled(p, scope)
	switch {
	case a.outcome == weak && (!b.still(p, scope, polled) || nonces != a.nonces):
		a.outcome = unread
	case a.outcome == weak && polled.After(a.ended):
		a.outcome = holds
	case a.outcome == blind && nonces != a.nonces:
		a.outcome = unread
	case a.outcome == unread && scope == Routes && b.routeless(p):
		a.outcome, a.nonces = blind, nonces
	case a.outcome == unread && settled && len(p.seats) > 0 && b.memory.blind[blindKey{p.id, b.question.Host, scope}] == nonces:
		a.outcome, a.nonces = blind, nonces
	default:
		return
	}
	p.answers[scope] = a
}

// routeless tells that a proxy has its listeners and none of them has routes that istiod serves.
func (b *Barrier) routeless(p *proxy) bool {
	for _, st := range p.seats {
		l := st.now.Listeners
		if st.now.Routes.Sent != "" || l.Sent == "" || !l.Settled() {
			return false
		}
	}
	return len(p.seats) > 0
}

func (b *Barrier) settled(p *proxy, scope Scope) bool {
	for _, st := range p.seats {
		if !st.now.watch(scope).Settled() {
			return false
		}
	}
	return true
}

// still tells whether nothing is under way to a proxy: it has acknowledged the newest response, or refuses it. Istiod
// keeps the text of a refusal until the next acknowledgement, so that it may be of an older response; it is taken for
// the answer to the newest one where the proxy has had a second for another.
func (b *Barrier) still(p *proxy, scope Scope, now time.Time) bool {
	for _, st := range p.seats {
		w := st.now.watch(scope)
		if !w.Settled() && (w.Error == "" || now.Sub(st.sentAt) < refusalPatience) {
			return false
		}
	}
	return true
}

// nonces are all that istiods have noted of a proxy in the scopes asked for: while they are the same, so is what the
// proxy has.
func (b *Barrier) nonces(p *proxy) string {
	var parts []string
	for id, st := range p.seats {
		for _, scope := range b.scopes {
			w := st.now.watch(scope)
			parts = append(parts, id+" "+string(scope)+" "+w.Sent+" "+w.Acked)
			if scope == Clusters {
				parts = append(parts, id+" endpoints "+st.now.Endpoints.Sent+" "+st.now.Endpoints.Acked)
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// proved tells whether a proxy holds the change, or is not concerned by it, in every scope.
func (b *Barrier) proved(p *proxy) bool {
	for _, scope := range b.scopes {
		if o := p.answers[scope].outcome; o != holds && o != blind && !provedBySeats(p, scope) {
			return false
		}
	}
	return true
}

func provedBySeats(p *proxy, scope Scope) bool {
	for _, st := range p.seats {
		if !st.proved[scope] {
			return false
		}
	}
	return len(p.seats) > 0
}

// unconcerned tells whether a proxy was shown not to see the host in any scope.
func (b *Barrier) unconcerned(p *proxy) bool {
	for _, scope := range b.scopes {
		if p.answers[scope].outcome != blind {
			return false
		}
	}
	return len(b.scopes) > 0
}
