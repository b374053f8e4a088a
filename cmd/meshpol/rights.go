package main

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/kube"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// mayRun asks for all the rights that a plan's way there and its way back will need, before anything is written: a
// rollout that finds out half-way cannot go back either.
func (s *session) mayRun(ctx context.Context, p *rollout.Plan) error {
	rights := kube.StateAccess(p.Change.Target.Namespace)
	for _, base := range p.Base {
		more, err := s.cluster.ObjectAccess(ctx, rollout.RefOf(base), verbsOfBase(p, base)...)
		if err != nil {
			return err
		}
		rights = append(rights, more...)
	}
	for _, ref := range p.Absent {
		more, err := s.cluster.ObjectAccess(ctx, ref, "get", "create", "update", "delete")
		if err != nil {
			return err
		}
		rights = append(rights, more...)
	}
	for _, ask := range []func() ([]kube.Access, error){
		func() ([]kube.Access, error) { return s.cluster.ProofAccess(ctx) },
		func() ([]kube.Access, error) { return s.podRights(ctx, p) },
		func() ([]kube.Access, error) { return s.statsRights(p), nil },
	} {
		more, err := ask()
		if err != nil {
			return err
		}
		rights = append(rights, more...)
	}
	return s.cluster.Need(ctx, rights)
}

// verbsOfBase: a patch gives fields back to their owners; what the plan deletes must be made again on the way back.
func verbsOfBase(p *rollout.Plan, base *unstructured.Unstructured) []string {
	verbs := []string{"get", "update"}
	if len(base.GetManagedFields()) > 0 {
		verbs = append(verbs, "patch")
	}
	for _, step := range p.Steps {
		for _, stage := range step.Stages {
			if stage.Delete && rollout.RefOf(stage.Object) == rollout.RefOf(base) && !slices.Contains(verbs, "delete") {
				verbs = append(verbs, "delete", "create")
			}
		}
	}
	return verbs
}

// podRights are needed by instance alone: callers may live wherever there is a proxy.
func (s *session) podRights(ctx context.Context, p *rollout.Plan) ([]kube.Access, error) {
	if !planByInstance(p) {
		return nil, nil
	}
	return s.cluster.PodAccess(ctx, s.proxyNamespaces())
}

// statsRights are needed where the proxies are read directly.
func (s *session) statsRights(p *rollout.Plan) []kube.Access {
	if s.app.prometheus.scrape != scrapeProxies || p.Settings.NoAnalysis || p.Back {
		return nil
	}
	return kube.StatsAccess(s.proxyNamespaces())
}

// proxyNamespaces are those with a proxy in them.
func (s *session) proxyNamespaces() []string {
	var out []string
	for _, pod := range s.snapshot.Pods {
		if pod.Proxy && !slices.Contains(out, pod.Namespace) {
			out = append(out, pod.Namespace)
		}
	}
	return out
}
