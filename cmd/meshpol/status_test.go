package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

func TestStatusWithoutRollouts(t *testing.T) {
	w := newWorld(t)
	w.meshpol(exitOK, "status").says(t, "no rollouts in namespace shop; -A looks into all namespaces")
	w.meshpol(exitOK, "status", "-A").says(t, "no rollouts in any namespace")
	if doc := w.meshpol(exitOK, "status", "-o", "json").document(t); len(doc["rollouts"].([]any)) != 0 {
		t.Errorf("%v", doc)
	}
	w.meshpol(exitUsage, "status", "cart-timeout").quiet(t).says(t, `no rollout "cart-timeout" in namespace shop: there is none at all; another namespace? (-n)`)
}

// TestStatusNeedsNoRecords: who may read Leases alone sees everything but the share.
func TestStatusNeedsNoRecords(t *testing.T) {
	w := newWorld(t)
	w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
	w.Deny("list", "apps", "controllerrevisions", "shop")
	w.meshpol(exitOK, "status").says(t, "cart-timeout", "Progressing", "someone@host/1")
	w.meshpol(exitOK, "status", "cart-timeout").says(t, "rollout cart-timeout of service shop/cart", "meshpol rollout abort cart-timeout -n shop")
	w.meshpol(exitOK, "status", "cart-timeout", "-A").says(t, "rollout cart-timeout of service shop/cart")
	w.meshpol(exitUsage, "status", "nobody").says(t, `no rollout "nobody" in namespace shop; there are: cart-timeout`)
	w.meshpol(exitUsage, "status", "cart-timeout", "-n", "other").says(t, "in namespace other")
	w.Deny("list", "coordination.k8s.io", "leases", "shop")
	w.meshpol(exitInvalid, "status").quiet(t).says(t, "missing the right to list leases", "kubectl auth can-i")
}

func TestStatusOfOneNameOnTwoTargets(t *testing.T) {
	w := newWorld(t)
	web := policy.Target{Kind: "Service", Namespace: "shop", Name: "web"}
	w.stored("both", cartTarget(), rollout.Succeeded, false)
	w.stored("both", web, rollout.Paused, false)
	for _, args := range [][]string{{"status", "both"}, {"rollback", "both"}, {"rollout", "resume", "both"}, {"rollout", "abort", "both"}, {"rollout", "promote", "both"}} {
		w.meshpol(exitUsage, args...).says(t, `2 rollouts are called "both": of service shop/cart, of service shop/web; say which with --target`)
	}
	w.meshpol(exitOK, "status", "both", "--target", "service/web").says(t, "of service shop/web", "Paused")
	w.meshpol(exitUsage, "rollout", "abort", "both", "--target", "cart").says(t, "has ended (Succeeded)")
}

func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		last   func(*rollout.State)
		format string
		want   int
		says   []string
	}{
		"it succeeds":        {func(s *rollout.State) { s.Phase = rollout.Succeeded }, "text", exitOK, []string{"Progressing", "Succeeded"}},
		"it is taken back":   {func(s *rollout.State) { s.Phase, s.Cause = rollout.RolledBack, rollout.CauseBreach }, "jsonl", exitRolledBack, []string{`"phase":"Progressing"`, `"phase":"RolledBack"`}},
		"it fails":           {func(s *rollout.State) { s.Phase = rollout.Failed }, "json", exitFailed, []string{`"phase": "Failed"`}},
		"another one begins": {func(s *rollout.State) { s.Rev, s.Name = "0b0b0b0b", "other" }, "text", exitInternal, []string{"it is no longer in the cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
			r := w.start("status", "cart-timeout", "--watch", "-o", c.format)
			eventually(t, func() bool { return w.Count("GET", cartTarget().LeaseName()) > 0 })
			s, _, err := store.Peek(t.Context(), cartTarget())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // one look has been shown
			s.Updated = s.Updated.Add(time.Second)
			c.last(&s)
			w.save(store, s)
			r.ends(t, c.want).says(t, c.says...)
			if c.format == "json" {
				r.document(t)
			}
		})
	}
}

func TestWatchEndsWithoutTheRollout(t *testing.T) {
	w := newWorld(t)
	w.stored("cart-timeout", cartTarget(), rollout.Progressing, true)
	w.meshpol(exitTimeout, "status", "cart-timeout", "--watch", "--timeout", "50ms").says(t, "not ended within 50ms, it is Progressing")
	r := w.start("status", "cart-timeout", "--watch")
	eventually(t, func() bool { return strings.Contains(r.out.String(), "Progressing") })
	r.signals <- syscall.SIGINT
	r.ends(t, exitAborted).says(t, "interrupted by a signal; the rollout itself goes on")
}

func TestCompletion(t *testing.T) {
	w := newWorld(t)
	w.env["KUBECONFIG"] = ""
	w.env["MESHPOL_KUBECONFIG"] = w.kubeconfig
	w.stored("running", cartTarget(), rollout.Progressing, true)
	for name, phase := range map[string]rollout.Phase{"done": rollout.Succeeded, "gone": rollout.RolledBack} {
		w.stored(name, policy.Target{Kind: "Service", Namespace: "shop", Name: name}, phase, false)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"status", ""}, []string{"done", "gone", "running"}},
		{[]string{"rollback", ""}, []string{"done", "running"}},
		{[]string{"rollout", "abort", ""}, []string{"running"}},
		{[]string{"rollout", "resume", ""}, []string{"running"}},
		{[]string{"rollout", "abort", "running", ""}, nil},
		{[]string{"status", "-n", "other", ""}, nil},
		{[]string{"plan", "-f", "x", ""}, nil},
		{[]string{"rollout", "--strategy", ""}, []string{"canary", "direct"}},
		{[]string{"plan", "--by", ""}, []string{"instance", "request"}},
		{[]string{"rollout", "--on-signal", ""}, []string{"pause", "rollback"}},
		{[]string{"rollout", "resume", "--on-signal", ""}, []string{"pause", "rollback"}},
		{[]string{"apply", "--dry-run="}, []string{"none", "server"}},
		{[]string{"status", "-o", ""}, []string{"json", "jsonl", "text", "yaml"}},
	} {
		if got := completions(w.meshpol(exitOK, append([]string{"__complete"}, c.args...)...)); !slices.Equal(got, c.want) {
			t.Errorf("%q completes to %q, want %q", c.args, got, c.want)
		}
	}
	if r := w.meshpol(exitOK, "__complete", "plan", "-f", ""); !strings.Contains(r.out.String(), "yaml") {
		t.Errorf("-f does not complete files: %s", r.out)
	}
	if got := completions(w.meshpol(exitOK, "__complete", "explain", "MP3")); !slices.Contains(got, "MP301") {
		t.Errorf("explain completes to %q", got)
	}
}

// TestCompletionWithoutACluster says nothing rather than an error.
func TestCompletionWithoutACluster(t *testing.T) {
	w := newWorld(t)
	w.env["MESHPOL_KUBECONFIG"] = w.file("nowhere", "{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], contexts: [{name: x, context: {cluster: c, user: u}}]}")
	if got := completions(w.meshpol(exitOK, "__complete", "status", "")); got != nil {
		t.Errorf("%q", got)
	}
	w.env["MESHPOL_KUBECONFIG"] = "nosuch"
	if got := completions(w.meshpol(exitOK, "__complete", "status", "")); got != nil {
		t.Errorf("%q", got)
	}
}

// completions are the words that a shell would be given.
func completions(r *ran) []string {
	var out []string
	for line := range strings.Lines(r.out.String()) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); word != "" && !strings.HasPrefix(word, ":") {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return out
}
