package istio

import (
	"fmt"
	"slices"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// value is a JSON value that may be missing.
type value struct {
	v  any
	ok bool
}

func present(v any) value { return value{v: v, ok: true} }

func (t value) same(u value) bool { return t.ok == u.ok && (!t.ok || same(t.v, u.v)) }

func (t value) key(k string) value {
	v, ok := asTree(t.v)[k]
	return value{v: v, ok: ok}
}

// mapping tells whether the value is an object, or missing where an object is merged.
func (t value) mapping() bool { return !t.ok || asTree(t.v) != nil }

func (t value) listing() bool {
	_, ok := t.v.([]any)
	return ok || !t.ok
}

// merger undoes changes: it takes a live value back to base where live still is what we wrote, leaves what others
// changed and we did not, and reports what both changed. It never edits its arguments.
type merger struct{ conflicts []mesh.Conflict }

func (m *merger) merge(at string, base, ours, live value) value {
	switch {
	case live.same(ours):
		return copied(base)
	case ours.same(base), live.same(base):
		return copied(live)
	case !live.ok:
		// Somebody took out what we had written: there is nothing of ours left.
		return live
	case base.mapping() && ours.mapping() && live.mapping():
		return m.mergeTrees(at, base, ours, live)
	case base.listing() && ours.listing() && live.listing():
		return m.mergeLists(at, base, ours, live)
	}
	m.conflict(at, base, ours, live)
	return copied(live)
}

func copied(t value) value {
	if t.ok {
		t.v = copyValue(t.v)
	}
	return t
}

func (m *merger) conflict(at string, base, ours, live value) {
	m.conflicts = append(m.conflicts, mesh.Conflict{Field: at, Base: short(base.v), Ours: short(ours.v), Live: short(live.v)})
}

// short is a value as one line of at most 200 characters.
func short(v any) string {
	if v == nil {
		return "(none)"
	}
	s := string(canonical(v))
	if len(s) > 200 {
		s = s[:197] + "..."
	}
	return s
}

func (m *merger) mergeTrees(at string, base, ours, live value) value {
	keys := map[string]bool{}
	for _, t := range []value{base, ours, live} {
		for k := range asTree(t.v) {
			keys[k] = true
		}
	}
	out := tree{}
	for _, k := range sortedKeys(keys) {
		if got := m.merge(at+"."+k, base.key(k), ours.key(k), live.key(k)); got.ok {
			out[k] = got.v
		}
	}
	// A block that we made, and that holds nothing any more, goes.
	return value{v: out, ok: base.ok || len(out) > 0}
}

func (m *merger) mergeLists(at string, base, ours, live value) value {
	switch field := at[lastDot(at):]; field {
	case ".http":
		return m.mergeEntries(at, trees(base.v), trees(ours.v), trees(live.v))
	case ".subsets":
		return m.mergeKeyed(at, base, ours, live, func(t tree) string { return text(t["name"]) })
	case ".portLevelSettings":
		return m.mergeKeyed(at, base, ours, live, func(t tree) string { return fmt.Sprint(portNumber(t)) })
	}
	m.conflict(at, base, ours, live)
	return copied(live)
}

func lastDot(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '.' {
			return i
		}
	}
	return 0
}

// mergeKeyed merges lists whose items have a key of their own. The order is live's.
func (m *merger) mergeKeyed(at string, base, ours, live value, key func(tree) string) value {
	item := func(l value, k string) value {
		for _, t := range trees(l.v) {
			if key(t) == k {
				return present(t)
			}
		}
		return value{}
	}
	var out []tree
	for _, t := range trees(live.v) {
		k := key(t)
		if got := m.merge(at+"["+k+"]", item(base, k), item(ours, k), present(t)); got.ok {
			out = append(out, asTree(got.v))
		}
	}
	return value{v: list(out), ok: base.ok || len(out) > 0}
}

// mergeEntries merges http entries, which have no key: an entry is known by everything in it that policies do not set,
// or else by its name.
func (m *merger) mergeEntries(at string, base, ours, live []tree) value {
	fromBase := alignOurs(base, ours)
	inLive := alignLive(ours, live)
	var out []tree
	for i, l := range live {
		o := slices.Index(inLive, i)
		if o < 0 {
			m.suspicious(at, i, l, base, ours, inLive, fromBase)
			out = append(out, copyTree(l))
			continue
		}
		b := value{}
		if fromBase[o] >= 0 {
			b = present(base[fromBase[o]])
		}
		if got := m.merge(entryPath(at, i, l), b, present(ours[o]), present(l)); got.ok {
			out = append(out, asTree(got.v))
		}
	}
	return present(list(out))
}

func entryPath(at string, i int, e tree) string {
	if n := text(e["name"]); n != "" {
		return at + "[" + n + "]"
	}
	return fmt.Sprintf("%s[%d]", at, i)
}

// suspicious reports an entry that cannot be told from those of others but still has a value of ours: somebody
// renamed and rewrote one that we had changed.
func (m *merger) suspicious(at string, i int, l tree, base, ours []tree, inLive, fromBase []int) {
	for o, e := range ours {
		if inLive[o] >= 0 || fromBase[o] < 0 {
			continue
		}
		for _, k := range policyFields() {
			b := present(base[fromBase[o]]).key(k)
			if was := present(e).key(k); !was.same(b) && was.ok && present(l).key(k).same(was) {
				m.conflict(entryPath(at, i, l)+"."+k, b, was, present(l).key(k))
			}
		}
	}
}

// policyFields are the fields of an http entry that policies set.
func policyFields() []string { return []string{"timeout", "retries"} }

// bare is an entry without what policies set: what it is known by.
func bare(e tree) tree {
	out := copyTree(e)
	for _, k := range policyFields() {
		delete(out, k)
	}
	return out
}

// alignOurs gives for every entry of ours the base entry it was made from, or -1 for one that we added: ours keeps
// base's order and changes nothing but policy fields.
func alignOurs(base, ours []tree) []int {
	out := make([]int, len(ours))
	next := 0
	for i, o := range ours {
		out[i] = -1
		if next < len(base) && same(bare(normal(base[next])), bare(normal(o))) {
			out[i] = next
			next++
		}
	}
	return out
}

// normal is an entry without an empty match, which means the same as none.
func normal(e tree) tree {
	ms := asList(e["match"])
	if _, ok := e["match"]; !ok || len(ms) > 1 || (len(ms) == 1 && len(asTree(ms[0])) > 0) {
		return e
	}
	out := copyTree(e)
	delete(out, "match")
	return out
}

// alignLive gives for every entry of ours its place in live, or -1: by content, then by content without the name, then
// by a name that is unique.
func alignLive(ours, live []tree) []int {
	out := make([]int, len(ours))
	used := map[int]bool{}
	pair := func(i int, fits func(l tree) bool) {
		for j, l := range live {
			if out[i] < 0 && !used[j] && fits(l) {
				out[i], used[j] = j, true
			}
		}
	}
	for i, o := range ours {
		out[i] = -1
		key := bare(normal(o))
		pair(i, func(l tree) bool { return same(bare(normal(l)), key) })
	}
	for i, o := range ours {
		key := nameless(o)
		pair(i, func(l tree) bool { return same(nameless(l), key) })
	}
	for i, o := range ours {
		if n := text(o["name"]); n != "" && named(ours, n) == 1 && named(live, n) == 1 {
			pair(i, func(l tree) bool { return text(l["name"]) == n })
		}
	}
	return out
}

func nameless(e tree) tree {
	out := bare(normal(e))
	delete(out, "name")
	return out
}

func named(entries []tree, name string) int {
	n := 0
	for _, e := range entries {
		if text(e["name"]) == name {
			n++
		}
	}
	return n
}
