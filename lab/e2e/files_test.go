//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestBadFiles: file, line and field are named, and nobody is contacted.
func TestBadFiles(t *testing.T) {
	s := newScene(t, 0, nil)
	var contacted atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { contacted.Add(1) }))
	t.Cleanup(api.Close)
	lab := s.as(s.withServer(api.URL))
	lab.Prometheus = api.URL
	head := "apiVersion: meshpol.io/v1alpha1\nkind: Timeout\nmetadata:\n  name: a\n  namespace: shop\n"
	good := head + "spec:\n  target:\n    service: cart\n  request: 2s\n"
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"unknown field":    {good + "  retries: 3\n", []string{"a.yaml:10", "MP107", "retries"}},
		"nearly a field":   {strings.Replace(good, "request:", "requst:", 1), []string{"a.yaml:9", "MP107", "requst", "request"}},
		"wrong type":       {strings.Replace(good, "request: 2s", "request: [2s]", 1), []string{"a.yaml:9", "MP109"}},
		"duplicate name":   {good + "---\n" + good, []string{"a.yaml:", "MP114"}},
		"one key twice":    {good + "  request: 3s\n", []string{"a.yaml:10", "MP108"}},
		"no target":        {head + "spec:\n  request: 2s\n", []string{"a.yaml:", "MP110", "target"}},
		"impossible value": {strings.Replace(good, "2s", "25h", 1), []string{"a.yaml:9", "MP111"}},
		"negative time":    {strings.Replace(good, "2s", "-2s", 1), []string{"a.yaml:9", "MP109"}},
		"no duration":      {strings.Replace(good, "2s", "soon", 1), []string{"a.yaml:9", "spec.request"}},
		"unknown kind":     {strings.Replace(good, "Timeout", "Timeut", 1), []string{"a.yaml:2", "MP106", "Timeout"}},
		"another version":  {strings.Replace(good, "v1alpha1", "v9", 1), []string{"a.yaml:1", "MP105"}},
		"no YAML":          {"kind: [Timeout\n", []string{"a.yaml:", "MP102"}},
		"nothing":          {"# nothing here\n", []string{"a.yaml", "MP104"}},
	} {
		path, err := trial.WriteFile(t.TempDir(), "a.yaml", c.text)
		s.must(err)
		for _, command := range []string{"validate", "plan", "rollout", "apply"} {
			r := s.plain(lab, 3, command, "-f", path)
			for _, text := range c.says {
				if !strings.Contains(r.Stdout+r.Stderr, text) {
					t.Errorf("%s: %s does not say %q:\n%s%s", name, command, text, r.Stdout, r.Stderr)
				}
			}
		}
	}
	s.says(s.plain(lab, 3, "rollout", "-f", t.TempDir()), "MP104")
	s.says(s.plain(lab, 3, "rollout", "-f", s.dir+"/none.yaml"), "MP101")
	if n := contacted.Load(); n > 0 {
		t.Errorf("%d requests were sent for files that cannot be used", n)
	}
}

// TestBadUsage: exit code 2, and what would be right.
func TestBadUsage(t *testing.T) {
	s := newScene(t, 0, nil)
	file := s.timeout("cart")
	for text, args := range map[string][]string{
		"-f":                                   {"rollout"},
		"--bogus":                              {"rollout", "-f", file, "--bogus"},
		"write numbers without a percent sign": {"rollout", "-f", file, "--steps", "many"},
		"a time cannot be negative":            {"rollout", "-f", file, "--bake", "-1s"},
		`--strategy "magic"`:                   {"rollout", "-f", file, "--strategy", "magic"},
		`--on-signal "shrug"`:                  {"rollout", "-f", file, "--on-signal", "shrug"},
		"unknown command":                      {"rolout"},
		"arg(s)":                               {"rollback"},
		`no rollout "none"`:                    {"rollback", "none", "-n", trial.Namespace},
		`no rollout "nope"`:                    {"rollout", "resume", "nope", "-n", trial.Namespace},
		"output format":                        {"status", "-o", "xml"},
		"10 after 50":                          {"rollout", "-f", file, "--steps", "50,10"},
		"0.1 to 100":                           {"rollout", "-f", file, "--steps", "0"},
	} {
		s.says(s.plain(*s.lab, 2, args...), text)
	}
	s.nothingWritten()
}
