//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestProxiesAreReadDirectly: a whole canary, good and bad, without Prometheus; a resumed one counts on from now.
func TestProxiesAreReadDirectly(t *testing.T) {
	const nowhere = "--prometheus=http://127.0.0.1:1"
	t.Run("good", func(t *testing.T) {
		s := newScene(t, 100, nil)
		r := s.meshpol(0, short("rollout", "--scrape", "proxies", nowhere, "-f", s.timeout("cart"))...)
		s.noErrors(s.records())
		for _, e := range r.Named("stepPassed") {
			var j struct {
				New, Old struct{ Requests float64 }
				Elapsed  float64 `json:"elapsedSeconds"`
			}
			b, err := json.Marshal(e.Fields["judgement"])
			s.must(err)
			s.must(json.Unmarshal(b, &j))
			counted, sent := j.New.Requests, 100*j.Elapsed
			if e.Text("step") != "fold" {
				counted += j.Old.Requests
			}
			if e.Text("step") != "clean-up" && (counted < 0.7*sent || counted > 1.3*sent) {
				t.Errorf("%s: %.0f requests counted in %.1f s, about %.0f were sent", e.Text("step"), counted, j.Elapsed, sent)
			}
		}
	})
	t.Run("bad", func(t *testing.T) {
		s := newScene(t, 100, func(s *scene) {
			s.must(s.lab.Behave(s.ctx, []string{"cart"}, []app.Rule{slow("/", 60*time.Millisecond, 1)}))
		})
		r := s.meshpol(4, short("rollout", "--scrape", "proxies", nowhere, "-f", s.file("Timeout", "cart-timeout", "cart", "  request: 20ms\n"))...)
		s.says(r, "breach")
		s.untouched()
	})
	t.Run("resumed", func(t *testing.T) {
		s := newScene(t, 100, nil)
		r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--scrape", "proxies", nowhere, "--on-signal", "pause", "--step-min", "6s", "--step-max", "20s")...)
		s.until(r, judged("10 %"))
		s.must(r.Signal(os.Interrupt))
		s.ends(r, 10)
		time.Sleep(5 * time.Second)
		again := s.meshpol(0, "rollout", "resume", "cart-timeout", "-n", "shop", "--scrape", "proxies", nowhere)
		s.says(again, "is lost, the score goes on from now")
		s.noErrors(s.records())
	})
}

// document writes a file that is no policy.
func (s *scene) document(text string) string {
	s.Helper()
	path, err := trial.WriteFile(s.dir, "rollout.yaml", text)
	s.must(err)
	return path
}

// TestOwnChecks: a query of the user's own ends a rollout that the comparison finds no harm in.
func TestOwnChecks(t *testing.T) {
	const up = `count(up{namespace="$namespace"})`
	for name, c := range map[string]struct {
		query, limit string
		exit         int
		says         string
	}{
		"well":          {up, "min: 1", 0, "at least 1 is well"},
		"too few":       {up, "min: 1e9", 6, "nothing was exposed yet, and already check orders is"},
		"harm":          {`sum({__name__=~"envoy_vhost_.+_route_mp_$rev_new_upstream_rq"}) or vector(0)`, "max: 0", 4, "above 0, 2 times in a row"},
		"many numbers":  {"up", "max: 1", 3, "series where one number is wanted"},
		"not PromQL":    {"sum(up", "max: 1", 3, "Prometheus refused the query sum(up"},
		"no number yet": {`sum(nothing)`, "max: 1", 6, "check orders has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 100, nil)
			doc := fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: cart-timeout, namespace: shop}\nspec:\n  strategy: {canary: {}}\n"+
				"  analysis:\n    checks: [{name: orders, query: '%s', %s}]\n", c.query, c.limit)
			file := s.timeout("cart")
			r := s.meshpol(c.exit, append(short("rollout", "-f", file), "-f", s.document(doc))...)
			s.says(r, c.says)
			if c.exit == 0 {
				s.says(r, `count(up{namespace="shop"})`)
				return
			}
			s.untouched()
			s.noErrors(s.records())
		})
	}
	s := newScene(t, 0, nil)
	doc := "apiVersion: meshpol.io/v1alpha1\nkind: Rollout\nmetadata: {name: cart-timeout, namespace: shop}\nspec:\n  strategy: {canary: {}}\n  analysis: {checks: [{name: up, query: up, max: 1}]}\n"
	r := s.meshpol(2, "rollout", "-f", s.timeout("cart"), "-f", s.document(doc), "--scrape", "proxies")
	if !strings.Contains(r.Stdout+r.Stderr, "PromQL") {
		t.Errorf("%s%s", r.Stdout, r.Stderr)
	}
	s.nothingWritten()
}
