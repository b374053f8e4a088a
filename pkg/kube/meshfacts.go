package kube

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/pkg/policy"
)

const (
	istioSystem   = "istio-system"
	istiodLabel   = "app=istiod"
	revisionLabel = "istio.io/rev"
	debugPort     = "15014"
)

var (
	versionWords  = regexp.MustCompile(`(?:^|[:v"-])(\d+\.\d+(?:\.\d+)?)(?:[-@"+]|$)`)
	rootNamespace = regexp.MustCompile(`(?m)^\s*"?rootNamespace"?:\s*"?([a-z0-9-]+)"?,?\s*$`)
)

// istiod is one replica of a control plane.
type istiod struct {
	namespace, name, uid, revision, version string
	ready, running                          bool
}

func (i istiod) id() string { return i.namespace + "/" + i.name }

// istiods lists the replicas of all control planes and revisions, where permitted in all namespaces.
func (c *Cluster) istiods(ctx context.Context) ([]istiod, error) {
	var out []istiod
	add := func(p slimPod) {
		if p.Metadata.DeletionTimestamp == nil {
			out = append(out, istiodOf(p))
		}
	}
	err := c.eachPod(ctx, "", istiodLabel, add)
	var rights *RightsError
	if errors.As(err, &rights) {
		err = c.eachPod(ctx, istioSystem, istiodLabel, add)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].id() < out[j].id() })
	return out, err
}

func istiodOf(p slimPod) istiod {
	i := istiod{
		namespace: p.Metadata.Namespace, name: p.Metadata.Name, uid: p.Metadata.UID, ready: p.ready(),
		running: p.Status.Phase == "Running", revision: orElse(p.Metadata.Labels[revisionLabel], "default"),
	}
	if m := versionWords.FindStringSubmatch(p.Metadata.Labels["app.kubernetes.io/version"]); m != nil {
		i.version = m[1]
		return i
	}
	for _, c := range p.Spec.Containers {
		if tag := c.Image[strings.LastIndex(c.Image, "/")+1:]; c.Name == "discovery" || len(p.Spec.Containers) == 1 {
			if m := versionWords.FindStringSubmatch(tag); m != nil {
				i.version = m[1]
			}
		}
	}
	return i
}

// meshFacts finds out which mesh runs, in which version and revisions. What cannot be read stays empty: only reading
// the policies themselves is needed for a decision.
func (c *Cluster) meshFacts(ctx context.Context, mesh string, table *apiTable) (policy.MeshFacts, error) {
	facts := policy.MeshFacts{Name: mesh, APIVersions: apiVersions(mesh, table)}
	if mesh == "linkerd" {
		facts.RootNamespace = "linkerd"
		facts.Version = c.linkerdVersion(ctx)
		return facts, ctx.Err()
	}
	facts.RootNamespace = istioSystem
	planes, err := c.istiods(ctx)
	if err != nil && unreadable(err) == nil {
		return facts, err
	}
	for _, p := range planes {
		facts.RootNamespace = p.namespace
		if !slices.Contains(facts.Revisions, p.revision) {
			facts.Revisions = append(facts.Revisions, p.revision)
		}
		if p.version == "" && p.running {
			p.version = c.askVersion(ctx, p)
		}
		facts.Version = oldest(facts.Version, p.version)
	}
	if len(planes) > 0 {
		facts.RootNamespace = c.rootOf(ctx, planes[0])
	}
	sort.Strings(facts.Revisions)
	return facts, ctx.Err()
}

func unreadable(err error) *RightsError {
	var rights *RightsError
	errors.As(err, &rights)
	return rights
}

// apiVersions maps each kind of the mesh to the version that the server prefers. A kind that several groups have is
// the mesh's own; with its group behind it ("Gateway.gateway.networking.k8s.io") each can be named.
func apiVersions(mesh string, table *apiTable) map[string]string {
	order := []string{groupIstioNetworking, groupIstioSecurity, groupIstioTelemetry, groupGateway, groupLinkerdPolicy}
	if mesh == "linkerd" {
		order = []string{groupLinkerdPolicy, groupGateway, "linkerd.io"}
	}
	out := map[string]string{}
	for _, group := range order {
		for _, a := range table.apis {
			if a.gvr.Group != group {
				continue
			}
			for _, key := range []string{a.kind, a.kind + "." + group} {
				if _, ok := out[key]; !ok {
					out[key] = a.apiVersion()
				}
			}
		}
	}
	return out
}

// oldest is the lower of two versions: what the oldest control plane cannot do, the mesh cannot do.
func oldest(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "" || compareVersions(a, b) <= 0:
		return a
	}
	return b
}

func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if len(as[i]) != len(bs[i]) {
			return len(as[i]) - len(bs[i])
		}
		if c := strings.Compare(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return len(as) - len(bs)
}

// askVersion asks istiod itself, through the API server's pod proxy.
func (c *Cluster) askVersion(ctx context.Context, i istiod) string {
	raw, err := bodyOf(c.rest.Get().AbsPath("/api/v1/namespaces", i.namespace, "pods", i.name+":"+debugPort, "proxy", "version").Do(ctx))
	if err != nil {
		return ""
	}
	if m := versionWords.FindStringSubmatch(strings.TrimSpace(string(raw))); m != nil {
		return m[1]
	}
	return ""
}

// rootOf reads the root namespace out of the mesh configuration; istiod's own namespace where nothing else is said.
func (c *Cluster) rootOf(ctx context.Context, i istiod) string {
	name := "istio"
	if i.revision != "default" {
		name += "-" + i.revision
	}
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	obj, err := c.dynamic.Resource(gvr).Namespace(i.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return i.namespace
	}
	mesh, _, _ := unstructured.NestedString(obj.Object, "data", "mesh")
	if m := rootNamespace.FindStringSubmatch(mesh); m != nil {
		return m[1]
	}
	return i.namespace
}

// linkerdVersion reads the version that linkerd's own installation notes in a label or annotation of its pods.
func (c *Cluster) linkerdVersion(ctx context.Context) string {
	raw, err := bodyOf(c.rest.Get().AbsPath("/api/v1/namespaces/linkerd/pods").
		Param("labelSelector", "linkerd.io/control-plane-component=destination").Param("limit", "1").Do(ctx))
	if err != nil {
		return ""
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"items"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list.Items) == 0 {
		return ""
	}
	created := list.Items[0].Metadata.Annotations["linkerd.io/created-by"]
	return created[strings.LastIndex(created, " ")+1:]
}
