package app

import (
	"strings"
	"sync/atomic"
)

// behaviour is the rules in force. They are replaced as a whole, while requests run.
type behaviour struct {
	rules atomic.Pointer[[]*activeRule]
}

// activeRule is a rule with the number of requests it treats at the moment.
type activeRule struct {
	Rule
	inFlight atomic.Int64
}

// set puts rules into force. Requests that run keep the rule they began with.
func (b *behaviour) set(rules []Rule) {
	active := make([]*activeRule, len(rules))
	for i, rule := range rules {
		active[i] = &activeRule{Rule: rule}
	}
	b.rules.Store(&active)
}

// list is the rules in force, in the order they were given.
func (b *behaviour) list() []Rule {
	out := []Rule{}
	if active := b.rules.Load(); active != nil {
		for _, rule := range *active {
			out = append(out, rule.Rule)
		}
	}
	return out
}

// match is the rule with the longest prefix of path, or a rule that answers at once.
func (b *behaviour) match(path string) *activeRule {
	best := &activeRule{}
	if active := b.rules.Load(); active != nil {
		for _, rule := range *active {
			if strings.HasPrefix(path, rule.Path) && len(rule.Path) > len(best.Path) {
				best = rule
			}
		}
	}
	return best
}

// enter takes a place among the requests in flight and tells whether there was one. Call leave in either case.
func (a *activeRule) enter() bool {
	n := a.inFlight.Add(1)
	return a.MaxInFlight == 0 || n <= int64(a.MaxInFlight)
}

func (a *activeRule) leave() { a.inFlight.Add(-1) }
