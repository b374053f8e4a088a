package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/validate"
)

// family is a heading of the page of findings.
type family struct{ prefix, title, text string }

func families() []family {
	return []family{
		{"MP1", "MP1xx: the file", "Found while files are read. Nothing of a set with such an error is used."},
		{"MP2", "MP2xx: one policy or Rollout", "Found in files alone."},
		{"MP3", "MP3xx: policies against each other", "Arithmetic between the policies of one target."},
		{"MP4", "MP4xx: live objects in the way", "Need a cluster. Codes from MP440 on are the mesh's own."},
		{"MP5", "MP5xx: what the mesh cannot express", "Need a cluster. Nothing is ever dropped or approximated in silence. MP57x are notes that do not stop."},
		{"MP6", "MP6xx: permissions and versions", "Need a cluster."},
	}
}

// entry is a code of whichever list.
type entry struct{ code, severity, title, why, next string }

// entries are the codes of validate and of every mesh, sorted.
func entries() []entry {
	var out []entry
	for _, c := range validate.Codes() {
		out = append(out, entry{c.Code, string(c.Severity), c.Title, c.Why, c.Next})
	}
	for _, c := range istio.Codes() {
		out = append(out, entry{c.Code, c.Severity() + " (Istio)", c.Title, c.Why, c.Next})
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.code, b.code) })
	return out
}

// findingsPage is docs/reference/findings.md.
func findingsPage() []byte {
	var out strings.Builder
	out.WriteString("# Findings\n\nGenerated from the code by `go run ./internal/gen`. Do not edit.\n\n" +
		"Every finding has a stable code; a code is never used for anything else.\n" +
		"An error stops before the first write (exit code 3); a warning, an info and a note do not.\n" +
		"`meshpol explain CODE` says the same on a terminal.\n")
	all := entries()
	for _, f := range families() {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n", f.title, f.text)
		for _, e := range all {
			if strings.HasPrefix(e.code, f.prefix) {
				fmt.Fprintf(&out, "\n### %s: %s\n\n%s. %s\n\n**Next:** %s\n", e.code, e.title, strings.ToUpper(e.severity[:1])+e.severity[1:], e.why, e.next)
			}
		}
	}
	return []byte(out.String())
}
