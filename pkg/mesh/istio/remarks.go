package istio

import (
	"slices"

	"github.com/meshpol/meshpol/pkg/policy"
)

// ownPrefixes are the statPrefixes of the user's own in concerned entries: the original keeps them, so the old side is
// counted under them.
func ownPrefixes(st site) []string {
	entries := trees(field(spec(st.base), "http"))
	var out []string
	for _, h := range st.hits {
		if len(h.whole) == 0 {
			continue
		}
		for _, m := range matchesOf(entries[h.index]) {
			if p := text(m["statPrefix"]); p != "" {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sharedPrefixes notes statPrefixes that also count entries which are not split: the old side then looks larger.
func (f *finder) sharedPrefixes(sites []site, e policy.Exposure) []string {
	if e.By == policy.All {
		return nil
	}
	var out []string
	for _, st := range sites {
		entries := trees(field(spec(st.base), "http"))
		for _, p := range ownPrefixes(st) {
			for i, entry := range entries {
				split := slices.ContainsFunc(st.hits, func(h hit) bool { return h.index == i && len(h.whole) > 0 })
				uses := slices.ContainsFunc(matchesOf(entry), func(m tree) bool { return text(m["statPrefix"]) == p })
				if uses && !split {
					out = append(out, note(noteSharedPrefix,
						where(st.base)+": statPrefix "+p+" counts "+entryName(entry)+" too, which is not part of the rollout"))
				}
			}
		}
	}
	return out
}

// namedByFilters notes EnvoyFilters that patch a concerned route by its name: the clone has another name and is not
// patched.
func (f *finder) namedByFilters(sites []site, e policy.Exposure) []string {
	if e.By == policy.All {
		return nil
	}
	names := map[string]bool{}
	for _, st := range sites {
		entries := trees(field(spec(st.base), "http"))
		for _, h := range st.hits {
			names[text(entries[h.index]["name"])] = true
		}
	}
	delete(names, "")
	var out []string
	for _, ef := range sorted(f.s.ByKind("EnvoyFilter")) {
		for _, p := range trees(field(spec(ef), "configPatches")) {
			if n := text(field(p, "match", "routeConfiguration", "vhost", "route", "name")); names[n] {
				out = append(out, note(noteFilterByName,
					where(ef)+" patches the route "+n+" by name: the new side goes without that patch until the fold"))
			}
		}
	}
	return out
}
