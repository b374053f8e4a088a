package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/pkg/rollout"
)

// MissingError lists the rights without which a rollout would get stuck half-way. Nothing was written yet.
type MissingError struct{ Missing []Access }

func (e *MissingError) Error() string {
	var rights []string
	for _, a := range e.Missing {
		rights = append(rights, a.String())
	}
	check := (&RightsError{Verb: e.Missing[0].Verb, Resource: e.Missing[0].path(), Group: e.Missing[0].Group, Namespace: e.Missing[0].Namespace}).Check()
	return fmt.Sprintf("looking for the rights that this needs: missing the right to %s; see `%s`, and docs/role.yaml for the role that is needed", strings.Join(rights, ", to "), check)
}

// String is the right in words: "create pods/portforward in namespace istio-system".
func (a Access) String() string {
	e := RightsError{Verb: a.Verb, Resource: a.path(), Group: a.Group, Namespace: a.Namespace}
	return strings.TrimPrefix(e.Right(), "the right to ")
}

func (a Access) path() string {
	if a.Subresource == "" {
		return a.Resource
	}
	return a.Resource + "/" + a.Subresource
}

// Need gives a *MissingError where the caller has not all of some rights. Where the API server does not answer such
// questions, the run finds out by itself.
func (c *Cluster) Need(ctx context.Context, rights []Access) error {
	has := make([]bool, len(rights))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, a := range rights {
		group.Go(func() (err error) {
			has[i], _, err = c.Allowed(asking, a)
			return err
		})
	}
	var unasked *RightsError
	if err := group.Wait(); errors.As(err, &unasked) || notServed(err) {
		return nil
	} else if err != nil {
		return err
	}
	var missing []Access
	for i, a := range rights {
		if !has[i] && !slices.Contains(missing, a) {
			missing = append(missing, a)
		}
	}
	if len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	return nil
}

// ObjectAccess are the rights to do something with an object. Nobody has the right to create an object of one name
// alone, for the API server does not know the name when it decides.
func (c *Cluster) ObjectAccess(ctx context.Context, ref rollout.Ref, verbs ...string) ([]Access, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("reading apiVersion %q of %s: %w", ref.APIVersion, ref, err)
	}
	table, err := c.discover(ctx, false)
	if err != nil {
		return nil, err
	}
	a, ok := table.at(gv, ref.Kind)
	if !ok {
		return nil, &NoAPIError{APIVersion: ref.APIVersion, Kind: ref.Kind, Server: c.Server()}
	}
	var out []Access
	for _, verb := range verbs {
		right := Access{Verb: verb, Group: a.gvr.Group, Resource: a.gvr.Resource, Namespace: ref.Namespace, Name: ref.Name}
		if verb == "create" {
			right.Name = ""
		}
		out = append(out, right)
	}
	return out, nil
}

// StateAccess are the rights to lock a target of a namespace and to keep its records.
func StateAccess(namespace string) []Access {
	var out []Access
	for _, verb := range []string{"get", "create", "update"} {
		out = append(out, Access{Verb: verb, Group: leaseResource().Group, Resource: leaseResource().Resource, Namespace: namespace})
	}
	for _, verb := range []string{"list", "create", "patch", "delete"} {
		out = append(out, Access{Verb: verb, Group: revisionAPI().gvr.Group, Resource: revisionAPI().gvr.Resource, Namespace: namespace})
	}
	return out
}

// ProofAccess are the rights to ask the control planes of the mesh what their proxies hold.
func (c *Cluster) ProofAccess(ctx context.Context) ([]Access, error) {
	planes, err := c.istiods(ctx)
	if err != nil {
		return nil, err
	}
	var out []Access
	for _, p := range planes {
		for _, verb := range []string{"create", "get"} { // a WebSocket is asked for by GET
			right := Access{Verb: verb, Resource: "pods", Subresource: "portforward", Namespace: p.namespace}
			if !slices.Contains(out, right) {
				out = append(out, right)
			}
		}
	}
	return out, nil
}

// PodAccess are the rights to label pods of some namespaces, and to find all that bear a label.
func (c *Cluster) PodAccess(ctx context.Context, namespaces []string) ([]Access, error) {
	everywhere := Access{Verb: "patch", Resource: "pods"}
	list := Access{Verb: "list", Resource: "pods"}
	all, _, err := c.Allowed(ctx, everywhere)
	if err != nil || all {
		return []Access{list}, err
	}
	out := []Access{list}
	for _, ns := range namespaces {
		out = append(out, Access{Verb: "patch", Resource: "pods", Namespace: ns})
	}
	return out, nil
}
