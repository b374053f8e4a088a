package istio_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/mesh/istio"
	"github.com/meshpol/meshpol/pkg/policy"
)

const cases = "../../../testdata/cases"

type goldenCase struct {
	name   string
	base   world
	change policy.Change
}

func goldenCases(t testing.TB) []goldenCase {
	t.Helper()
	dirs, err := os.ReadDir(cases)
	if err != nil {
		t.Fatal(err)
	}
	var out []goldenCase
	for _, d := range dirs {
		dir := filepath.Join(cases, d.Name())
		out = append(out, goldenCase{
			name:   d.Name(),
			base:   objects(t, readFile(t, filepath.Join(dir, "input.yaml"))),
			change: change(t, readFile(t, filepath.Join(dir, "policy.yaml"))),
		})
	}
	return out
}

func exposures() map[string]policy.Exposure {
	return map[string]policy.Exposure{
		"staged":      byRequest(policy.Staged, 0.5),
		"request-10":  byRequest(policy.Enforce, 0.1),
		"request-100": byRequest(policy.Enforce, 1),
		"instance-1":  byInstance(policy.Enforce),
		"fold":        everybody(),
	}
}

// TestGolden freezes what every case compiles to. Accept a change with -update and read the diff.
func TestGolden(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.name, func(t *testing.T) {
			for name, e := range exposures() {
				if name == "request-100" {
					continue
				}
				equal(t, c.name, name, c.compiled(t, e))
			}
			equal(t, c.name, "neutralised", c.neutralised(t))
			equal(t, c.name, "tidied", c.tidied(t))
		})
	}
}

func equal(t *testing.T, dir, name, got string) {
	t.Helper()
	golden.Equal(t, filepath.Join("..", cases, dir, name+".golden.yaml"), []byte(got))
}

// compiled prints stages with what proves them, and what a person is told.
func (c goldenCase) compiled(t *testing.T, e policy.Exposure) string {
	out, err := istio.New().Compile(c.base.snapshot(), c.change, e)
	if err != nil {
		return "# refused: " + err.Error() + "\n"
	}
	var b strings.Builder
	if len(out.Stages) == 0 {
		b.WriteString("# in force already\n")
	}
	for i, s := range out.Stages {
		fmt.Fprintf(&b, "# stage %d: %s %s\n", i+1, verb(s), id(s.Object))
		for _, m := range s.Markers {
			b.WriteString("# proved by " + marker(m) + "\n")
		}
		if !s.Delete {
			b.WriteString(toYAML(t, s.Object))
		}
		b.WriteString("---\n")
	}
	if l := out.Labels; l != nil {
		fmt.Fprintf(&b, "# cohort: pods with %s=%s, proved by %s\n", l.Key, l.Value, marker(l.Markers[0]))
	}
	for _, p := range out.AtFold {
		b.WriteString("# only at the fold: " + p + "\n")
	}
	for _, n := range out.Notes {
		b.WriteString("# note " + n + "\n")
	}
	return b.String()
}

func verb(s mesh.Stage) string {
	switch {
	case s.Delete:
		return "delete"
	case s.Create:
		return "create"
	}
	return "update"
}

func marker(m mesh.Marker) string {
	if m.Absent {
		return m.Scope + " without " + m.Text
	}
	return m.Scope + " with " + m.Text
}

func (c goldenCase) neutralised(t *testing.T) string {
	out, err := istio.New().Compile(c.base.snapshot(), c.change, byRequest(policy.Enforce, 0.1))
	if err != nil {
		return "# refused\n"
	}
	var b strings.Builder
	for _, o := range istio.New().Neutralise(c.base.apply(out.Stages), c.change) {
		b.WriteString(toYAML(t, o) + "---\n")
	}
	for _, m := range istio.New().NeutralMarkers(c.change) {
		b.WriteString("# proved by " + marker(m) + "\n")
	}
	return b.String()
}

// tidied says what is left after going back, from the split and from the fold: nothing but what was there before.
func (c goldenCase) tidied(t *testing.T) string {
	var b strings.Builder
	for _, name := range []string{"request-10", "fold"} {
		out, err := istio.New().Compile(c.base.snapshot(), c.change, exposures()[name])
		if err != nil {
			return "# refused\n"
		}
		live := c.base.apply(out.Stages)
		fmt.Fprintf(&b, "# from %s\n", name)
		for _, o := range live {
			if ours := live.get(o); c.base.get(o) == nil || toYAML(t, c.base.get(o)) != toYAML(t, o) {
				u, err := istio.New().Tidy(c.base.get(o), ours, o, c.change)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "#   %s: %s\n", id(o), undone(u))
			}
		}
		after, conflicts := live.undo(t, c.base, live, c.change)
		if d := cmp.Diff(c.base.specs(), after.specs()); d != "" || len(conflicts) > 0 {
			t.Errorf("going back from %s leaves (-before +after):\n%s\nconflicts: %v", name, d, conflicts)
		}
	}
	return b.String()
}

func undone(u mesh.Undone) string {
	what := "nothing to do"
	switch {
	case u.Delete:
		what = "delete"
	case u.Object != nil:
		what = "as before"
	}
	for _, m := range u.Markers {
		what += ", proved by " + marker(m)
	}
	return what
}
