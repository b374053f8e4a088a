package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"golang.org/x/sync/errgroup"

	"github.com/meshpol/meshpol/pkg/policy"
)

// The API groups that meshes use.
const (
	groupIstioNetworking = "networking.istio.io"
	groupIstioSecurity   = "security.istio.io"
	groupIstioTelemetry  = "telemetry.istio.io"
	groupGateway         = "gateway.networking.k8s.io"
	groupLinkerdPolicy   = "policy.linkerd.io"
)

// readers is how many lists are read at a time.
const readers = 6

// wanted is a kind to read. One that is needed and cannot be read is an error, another is noted in Snapshot.Unread.
type wanted struct {
	group, kind string
	needed      bool
}

// wantedKinds are the kinds that decisions about a mesh look at. A kind that two groups have (Gateway,
// AuthorizationPolicy) is read of one group only, since a Snapshot is asked by kind.
func wantedKinds(mesh string) []wanted {
	both := []wanted{
		{"", "Service", true}, {"", "Namespace", false},
		{groupGateway, "HTTPRoute", false}, {groupGateway, "GRPCRoute", false},
		{"flagger.app", "Canary", false}, {"argoproj.io", "Rollout", false},
	}
	if mesh == "linkerd" {
		return append(both,
			wanted{groupLinkerdPolicy, "Server", true}, wanted{groupLinkerdPolicy, "AuthorizationPolicy", false},
			wanted{groupLinkerdPolicy, "MeshTLSAuthentication", false}, wanted{groupLinkerdPolicy, "NetworkAuthentication", false},
			wanted{groupLinkerdPolicy, "HTTPLocalRateLimitPolicy", false}, wanted{groupLinkerdPolicy, "EgressNetwork", false},
			wanted{"linkerd.io", "ServiceProfile", false})
	}
	return append(both,
		wanted{groupIstioNetworking, "VirtualService", true}, wanted{groupIstioNetworking, "DestinationRule", true},
		wanted{groupIstioNetworking, "Gateway", false}, wanted{groupIstioNetworking, "Sidecar", false},
		wanted{groupIstioNetworking, "ServiceEntry", false}, wanted{groupIstioNetworking, "EnvoyFilter", false},
		wanted{groupIstioSecurity, "PeerAuthentication", false}, wanted{groupIstioSecurity, "AuthorizationPolicy", false},
		wanted{groupIstioSecurity, "RequestAuthentication", false}, wanted{groupIstioTelemetry, "Telemetry", false})
}

// gathering is one Gather in progress.
type gathering struct {
	*Cluster
	table      *apiTable
	namespaces []string

	mu   sync.Mutex
	snap *policy.Snapshot
}

// Gather reads everything that decisions about the targets may know, once.
func (c *Cluster) Gather(ctx context.Context, targets []policy.Target) (*policy.Snapshot, error) {
	table, err := c.discover(ctx, false)
	if err != nil {
		return nil, err
	}
	mesh, err := c.detect(table)
	if err != nil {
		return nil, err
	}
	facts, err := c.meshFacts(ctx, mesh, table)
	if err != nil {
		return nil, err
	}
	g := &gathering{Cluster: c, table: table, namespaces: namespacesOf(targets), snap: &policy.Snapshot{Cluster: c.name, Mesh: facts, Taken: time.Now()}}
	if err := g.read(ctx); err != nil {
		return nil, err
	}
	return g.snap, nil
}

// detect finds the mesh by the API groups that its control plane brings.
func (c *Cluster) detect(table *apiTable) (string, error) {
	istio, linkerd := table.hasGroup(groupIstioNetworking), table.hasGroup(groupLinkerdPolicy)
	switch {
	case istio && c.mesh != "linkerd":
		return "istio", nil
	case linkerd && c.mesh != "istio":
		return "linkerd", nil
	}
	return "", &NoMeshError{Mesh: c.mesh, Server: c.Server()}
}

func namespacesOf(targets []policy.Target) []string {
	var out []string
	for _, t := range targets {
		if t.Namespace != "" && !slices.Contains(out, t.Namespace) {
			out = append(out, t.Namespace)
		}
	}
	sort.Strings(out)
	return out
}

// read lists all kinds and the pods, some at a time.
func (g *gathering) read(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	group.Go(func() error { return g.readPods(ctx) })
	for _, w := range wantedKinds(g.snap.Mesh.Name) {
		a, ok := g.table.find(w.group, w.kind)
		if !ok {
			if w.needed {
				return &NoAPIError{APIVersion: w.group, Kind: w.kind, Server: g.Server()}
			}
			continue
		}
		group.Go(func() error { return g.readKind(ctx, w, a) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	sort.Slice(g.snap.Objects, func(i, j int) bool { return objectKey(g.snap.Objects[i]) < objectKey(g.snap.Objects[j]) })
	sort.Slice(g.snap.Pods, func(i, j int) bool { return g.snap.Pods[i].ID() < g.snap.Pods[j].ID() })
	sort.Strings(g.snap.Unread)
	return nil
}

func objectKey(o *unstructured.Unstructured) string {
	return o.GetKind() + "\x00" + o.GetNamespace() + "\x00" + o.GetName()
}

// readKind lists a kind in all namespaces, or, without the right to, in those of the targets and of the mesh's root.
func (g *gathering) readKind(ctx context.Context, w wanted, a api) error {
	objects, err := g.list(ctx, a, "")
	var rights *RightsError
	if errors.As(err, &rights) && a.namespaced {
		outside := rights
		if objects, err = g.listIn(ctx, a); err == nil {
			g.note(fmt.Sprintf("%s outside the targets' namespaces: missing %s", w.kind, outside.Right()))
		}
	}
	if errors.As(err, &rights) && !w.needed {
		g.note(fmt.Sprintf("%s: missing %s", w.kind, rights.Right()))
		return nil
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snap.Objects = append(g.snap.Objects, objects...)
	return nil
}

func (g *gathering) listIn(ctx context.Context, a api) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, ns := range g.namespaces {
		objects, err := g.list(ctx, a, ns)
		if err != nil {
			return nil, err
		}
		out = append(out, objects...)
	}
	if root := g.snap.Mesh.RootNamespace; !slices.Contains(g.namespaces, root) {
		// What the mesh's root namespace says holds for all; where it cannot be read, the note above tells.
		if objects, err := g.list(ctx, a, root); err == nil {
			out = append(out, objects...)
		}
	}
	return out, nil
}

func (g *gathering) note(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snap.Unread = append(g.snap.Unread, text)
}

// readPods reads the pods of the targets' namespaces and, where it may, every pod with a proxy: each may be a caller.
func (g *gathering) readPods(ctx context.Context) error {
	seen := map[string]bool{}
	add := func(pods []policy.Pod) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, p := range pods {
			if !seen[p.ID()] {
				seen[p.ID()] = true
				g.snap.Pods = append(g.snap.Pods, p)
			}
		}
	}
	for _, ns := range g.namespaces {
		pods, err := g.Pods(ctx, ns)
		if err != nil {
			return err
		}
		add(pods)
	}
	callers, err := g.podsWith(ctx, "", callerSelector(g.snap.Mesh.Name))
	var rights *RightsError
	if errors.As(err, &rights) {
		g.note("pods of other namespaces, which may be callers: missing " + rights.Right())
		return nil
	}
	add(callers)
	return err
}

func callerSelector(mesh string) string {
	if mesh == "linkerd" {
		return "linkerd.io/control-plane-ns"
	}
	return injected
}

// list reads all objects of a kind in chunks.
func (c *Cluster) list(ctx context.Context, a api, namespace string) ([]*unstructured.Unstructured, error) {
	return c.listWith(ctx, a, namespace, "")
}

func (c *Cluster) listWith(ctx context.Context, a api, namespace, selector string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	opts := metav1.ListOptions{Limit: chunk, LabelSelector: selector}
	for {
		page, err := c.client(a, namespace).List(ctx, opts)
		if err != nil {
			return nil, c.explain("listing "+where(a, namespace), err)
		}
		for i := range page.Items {
			out = append(out, &page.Items[i])
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return out, nil
		}
	}
}

func where(a api, namespace string) string {
	if namespace == "" {
		return a.gvr.Resource
	}
	return strings.Join([]string{a.gvr.Resource, "in namespace", namespace}, " ")
}
