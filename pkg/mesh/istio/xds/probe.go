package xds

import (
	"cmp"
	"slices"
	"time"
)

// Probe asks for a reading of a proxy's own configuration.
type Probe struct {
	Proxy  string
	Scopes []Scope
	// Away tells that it is connected to no istiod, so that its pod may not exist any more.
	Away bool
	// Planes are the istiods that it is connected to.
	Planes []string
}

const (
	// witnesses is how many candidates of one istiod are read at a time; sample how many readings it takes to be
	// content with a threshold: one proves it, the others guard against a mistake of ours.
	witnesses = 2
	sample    = 3
	// awayAfter is how long a proxy may be connected nowhere before its pod is asked for.
	awayAfter = 300 * time.Millisecond
)

// Probes chooses the proxies to read now, at most free of them, and takes note that they are being read.
func (b *Barrier) Probes(now time.Time, free int) []Probe {
	if free <= 0 {
		return nil
	}
	var chosen []*proxy
	add := func(p *proxy) {
		if len(chosen) < free && !p.reading {
			p.reading, p.tried, p.readAt, p.readOf, p.readRefusing = true, true, now, b.nonces(p), b.refusal(p, now) != ""
			chosen = append(chosen, p)
		}
	}
	for _, p := range b.refusing(now) {
		if b.stale(p, now, rereadSoon) {
			add(p)
		}
	}
	if len(b.only) == 0 {
		for _, id := range sortedKeys(b.planes) {
			for _, p := range b.candidates(id, now) {
				add(p)
			}
		}
	}
	for _, p := range b.direct(now) {
		add(p)
	}
	out := make([]Probe, len(chosen))
	for i, p := range chosen {
		out[i] = Probe{Proxy: p.id, Scopes: b.openScopes(p), Away: len(p.seats) == 0, Planes: sortedKeys(p.seats)}
	}
	return out
}

// openScopes are the scopes that are not proved yet; all of them where a proved proxy is read as a sample.
func (b *Barrier) openScopes(p *proxy) []Scope {
	var out []Scope
	for _, s := range b.scopes {
		if o := p.answers[s].outcome; o != holds && o != blind && !provedBySeats(p, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return slices.Clone(b.scopes)
	}
	return out
}

// stale tells whether reading a proxy may show something new.
func (b *Barrier) stale(p *proxy, now time.Time, again time.Duration) bool {
	if p.reading || p.gone {
		return false
	}
	return !p.tried || (p.readOf != b.nonces(p) && now.Sub(p.readAt) >= rereadSoon/3) || now.Sub(p.readAt) >= again
}

// candidates are the proxies of an istiod that may be witnesses, the most promising first.
func (b *Barrier) candidates(id string, now time.Time) []*proxy {
	pl, room := b.planes[id], witnesses
	var open []Scope
	for _, scope := range b.scopes {
		if b.wanting(id, pl, scope) {
			open = append(open, scope)
		}
	}
	var out []*proxy
	for _, p := range b.proxies {
		switch st := p.seats[id]; {
		case st == nil:
		case p.reading:
			room--
		case b.promising(p, st, open) && b.stale(p, now, b.reread(p)):
			out = append(out, p)
		}
	}
	known := len(open) > 0 && pl.threshold[open[0]].Known()
	return best(out, room, func(x, y *proxy) int { return b.rank(x, y, id, known) })
}

// best gives the n first in order without sorting the others.
func best(all []*proxy, n int, order func(x, y *proxy) int) []*proxy {
	var out []*proxy
	for range min(n, len(all)) {
		first := slices.MinFunc(all, order)
		out = append(out, first)
		all = slices.DeleteFunc(all, func(p *proxy) bool { return p == first })
	}
	return out
}

// wanting tells whether more witnesses of an istiod would help in a scope: there is none, or less than a sample, or
// proxies that have nothing under way are older than the oldest witness.
func (b *Barrier) wanting(id string, pl *plane, scope Scope) bool {
	seated, spoken, older := 0, 0, 0
	for _, p := range b.proxies {
		st := p.seats[id]
		if st == nil {
			continue
		}
		seated++
		o := p.answers[scope].outcome
		if o == holds || o == blind {
			spoken++
		} else if !st.proved[scope] && st.now.watch(scope).Settled() {
			older++
		}
	}
	return !pl.threshold[scope].Known() || spoken < min(sample, seated) || older > 0
}

// promising tells whether reading a proxy may make a witness of it. What is to be gone can only be witnessed by a
// proxy that was seen with it.
func (b *Barrier) promising(p *proxy, st *seat, open []Scope) bool {
	for _, scope := range open {
		a := p.answers[scope]
		if a.outcome == blind || a.outcome == holds || st.now.watch(scope).Sent == "" {
			continue
		}
		if !p.tried || !anyAbsent(b.byScope[scope]) || a.lacked != "" || b.memory.sawAny(p.id, "", b.byScope[scope]) {
			return true
		}
	}
	return false
}

// reread is how soon a candidate is read again although istiod noted nothing new of it.
func (b *Barrier) reread(p *proxy) time.Duration {
	for _, scope := range b.scopes {
		if p.answers[scope].lacked != "" || b.memory.sawAny(p.id, "", b.byScope[scope]) {
			return rereadSoon
		}
	}
	return rereadLate
}

// rank puts first what has got something new since the barrier began, then what was seen with our names before, then
// what was sent the newest version. Where a threshold is known, the oldest comes first: it may lower it.
func (b *Barrier) rank(x, y *proxy, id string, known bool) int {
	newest := func(p *proxy) uint64 { return ParseNonce(p.seats[id].now.watch(b.scopes[0]).Sent).Counter }
	if known {
		return cmp.Or(x.readAt.Compare(y.readAt), cmp.Compare(newest(x), newest(y)), cmp.Compare(x.id, y.id))
	}
	return cmp.Or(cmp.Compare(b.merit(y, id), b.merit(x, id)), x.readAt.Compare(y.readAt), cmp.Compare(newest(y), newest(x)), cmp.Compare(x.id, y.id))
}

func (b *Barrier) merit(p *proxy, id string) int {
	n := 0
	st := p.seats[id]
	for _, scope := range b.scopes {
		if st.now.watch(scope).Sent != st.first.watch(scope).Sent {
			n += 2
		}
		if b.memory.sawAny(p.id, "", b.byScope[scope]) {
			n += 4
		}
	}
	if len(b.memory.had[p.id].texts) > 0 {
		n++
	}
	return n
}

// direct are the proxies that must speak for themselves: those that were named, and those that have stayed behind.
func (b *Barrier) direct(now time.Time) []*proxy {
	again := rereadLate
	if len(b.only) > 0 {
		again = rereadSoon
	}
	late := len(b.only) > 0 || now.Sub(b.began) >= b.patience()
	var out []*proxy
	for _, p := range b.proxies {
		away := len(p.seats) == 0 && now.Sub(p.missing) >= awayAfter
		soon := again
		if now.Sub(b.began) >= quiet && b.unwitnessed(p) {
			soon = rereadSoon
		}
		if (late || away) && !b.proved(p) && b.stale(p, now, soon) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y *proxy) int { return cmp.Or(x.readAt.Compare(y.readAt), cmp.Compare(x.id, y.id)) })
	return out
}

// unwitnessed tells that a proxy lacks a text that it was never seen with, which counts only from quiet on.
func (b *Barrier) unwitnessed(p *proxy) bool {
	for _, scope := range b.scopes {
		if a := p.answers[scope]; a.outcome == unread && p.tried && a.err == "" && anyAbsent(b.byScope[scope]) {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
