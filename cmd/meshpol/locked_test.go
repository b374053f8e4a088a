package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/internal/fakekube"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// TestFindingsOfARunningRolloutAreALock: the names that a running rollout leaves on an object are no fault of the
// policies.
func TestFindingsOfARunningRolloutAreALock(t *testing.T) {
	held := printer.FindingView{Code: codeInHand, Severity: "warning", Message: "VirtualService shop/cart is in the hands of the rollout a/1", Next: "wait"}
	names := printer.FindingView{Code: codeLeftovers, Severity: "error"}
	wrong := printer.FindingView{Code: "MP301", Severity: "error"}
	for name, c := range map[string]struct {
		findings []printer.FindingView
		phase    rollout.Phase
		release  bool
		want     int
	}{
		"nothing is wrong":                     {[]printer.FindingView{held}, "", false, exitOK},
		"no mark beside the names":             {[]printer.FindingView{names}, "", false, exitOK},
		"a policy is wrong as well":            {[]printer.FindingView{held, names, wrong}, "", false, exitOK},
		"another target's rollout":             {[]printer.FindingView{held, names}, "", false, exitLocked},
		"the target's own rollout":             {[]printer.FindingView{held, names}, rollout.Progressing, false, exitLocked},
		"the target's own rollout, left alone": {[]printer.FindingView{held, names}, rollout.Paused, true, exitLocked},
	} {
		t.Run(name, func(t *testing.T) {
			p := plannerOf(t)
			target := policy.Target{Kind: "Service", Namespace: "shop", Name: "cart"}
			if c.phase != "" {
				hold(t, p.session.store(), target, c.phase, c.release)
			}
			err := p.locked(t.Context(), c.findings)
			if got := exitCode(err); got != c.want {
				t.Errorf("exit code %d, want %d: %v", got, c.want, err)
			}
			var locked *rollout.LockedError
			var unfinished *rollout.UnfinishedError
			if errors.As(err, &locked) != (c.phase != "" && !c.release) || errors.As(err, &unfinished) != c.release {
				t.Errorf("not the error that names the rollout: %v", err)
			}
		})
	}
}

// plannerOf plans for the service cart in an empty cluster.
func plannerOf(t *testing.T) *planner {
	t.Helper()
	server := fakekube.New(fakekube.Builtin()...)
	t.Cleanup(server.Close)
	cluster, err := kube.New(&rest.Config{Host: server.URL}, kube.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: meshpol.io/v1alpha1\nkind: Timeout\nmetadata: {name: a, namespace: shop}\nspec: {target: {service: cart}, request: 2s}\n"
	set, err := policy.Load(policy.LoadOptions{Paths: []string{policy.Stdin}, Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return &planner{set: set, session: &session{cluster: cluster}}
}

// hold stores a rollout of a target as its runner would, and goes away where it is left alone.
func hold(t *testing.T, store *kube.LeaseStore, target policy.Target, phase rollout.Phase, leave bool) {
	t.Helper()
	if _, err := store.Acquire(t.Context(), target, "someone@host/1", ""); err != nil {
		t.Fatal(err)
	}
	state := rollout.State{Version: rollout.StateVersion, Name: "a", Target: target, Phase: phase}
	if _, err := store.Save(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if leave {
		if err := store.Release(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
}
