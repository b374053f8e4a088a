package xds

import (
	"fmt"
	"slices"
	"time"
)

// refusalPatience is how long a refusal waits for the proxy's own configuration to say the contrary.
const refusalPatience = time.Second

// Refusal is a proxy that refused the change, with Envoy's own words.
type Refusal struct{ Proxy, Message string }

// Count is how far a change has come.
type Count struct {
	Confirmed, Concerned, Unconcerned int
	// Stragglers are the concerned proxies that do not hold it, sorted; an istiod that does not answer is among them,
	// since its proxies are not known.
	Stragglers []string
	// Took is the time from the beginning to the last confirmation.
	Took time.Duration
}

// Count counts.
func (b *Barrier) Count() Count {
	c := Count{Took: b.proven.Sub(b.began)}
	for _, p := range b.proxies {
		switch {
		case p.gone:
		case b.unconcerned(p):
			c.Unconcerned++
		case b.proved(p):
			c.Concerned++
			c.Confirmed++
		default:
			c.Concerned++
			c.Stragglers = append(c.Stragglers, p.id)
		}
	}
	for id, pl := range b.planes {
		if !pl.answered || pl.trouble != "" {
			c.Stragglers = append(c.Stragglers, fmt.Sprintf("the proxies of istiod %s (%s)", id, orElse(pl.trouble, "it has not answered")))
		}
	}
	slices.Sort(c.Stragglers)
	return c
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Done tells whether every concerned proxy holds the change, as far as every istiod and every expected proxy knows.
func (b *Barrier) Done() bool {
	for _, pl := range b.planes {
		if !pl.answered || pl.trouble != "" {
			return false
		}
	}
	for _, p := range b.proxies {
		if !p.gone && !b.proved(p) {
			return false
		}
	}
	return len(b.planes) > 0
}

// Why says of a straggler what is known of it.
func (b *Barrier) Why(id string) string {
	p := b.proxies[id]
	if p == nil {
		return ""
	}
	for _, scope := range b.scopes {
		a := p.answers[scope]
		switch {
		case len(p.seats) == 0 && a.err != "":
			return "connected to no istiod, and " + a.err
		case len(p.seats) == 0:
			return "connected to no istiod"
		case !b.settled(p, scope):
			return "sent by istiod and not acknowledged"
		case a.outcome == lacks:
			return "its own configuration lacks it"
		case a.err != "":
			return a.err
		}
	}
	return "not heard of yet"
}

// refusing are the unproved proxies that refused something since the barrier began, sorted.
func (b *Barrier) refusing(now time.Time) []*proxy {
	var out []*proxy
	for _, id := range sortedKeys(b.proxies) {
		if p := b.proxies[id]; !p.gone && !b.proved(p) && b.refusal(p, now) != "" {
			out = append(out, p)
		}
	}
	return out
}

// refusal is Envoy's text where a proxy refused something since the barrier began. A text that was there before says
// nothing while a newer response is under way: istiod keeps it until the proxy has answered.
func (b *Barrier) refusal(p *proxy, now time.Time) string {
	for _, st := range p.seats {
		for _, scope := range b.scopes {
			w := st.now.watch(scope)
			if w.Error != "" && (w.Error != st.first.watch(scope).Error || now.Sub(st.sentAt) >= refusalPatience) {
				return w.Error
			}
		}
	}
	return ""
}

// Refused are the proxies that refused the change: an error of the proxy, and its own configuration without the change
// (or not readable for a while). A proxy that refuses for another reason and holds the change is none. Once one is sure,
// all that refuse something are named.
func (b *Barrier) Refused(now time.Time) []Refusal {
	all := b.refusing(now)
	if !slices.ContainsFunc(all, func(p *proxy) bool { return b.surelyRefused(p, now) }) {
		return nil
	}
	out := make([]Refusal, len(all))
	for i, p := range all {
		out[i] = Refusal{Proxy: p.id, Message: words(p.id, b.refusal(p, now))}
	}
	return out
}

func (b *Barrier) surelyRefused(p *proxy, now time.Time) bool {
	for _, scope := range b.scopes {
		a := p.answers[scope]
		confirmed := a.outcome == lacks && a.refusing
		unreadable := a.err != "" && now.Sub(b.began) >= refusalPatience
		if confirmed || unreadable {
			return true
		}
	}
	return false
}

// Remember passes on to the memory who was connected.
func (b *Barrier) Remember() {
	if len(b.only) > 0 {
		return
	}
	for id, p := range b.proxies {
		if len(p.seats) > 0 && !p.gone {
			b.memory.roster[id] = true
		}
	}
}
