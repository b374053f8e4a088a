package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// aggregated asks for the whole of discovery in one answer; an older API server gives the list of groups instead.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

// api is one kind at one version.
type api struct {
	gvr        schema.GroupVersionResource
	kind       string
	namespaced bool
}

func (a api) apiVersion() string { return a.gvr.GroupVersion().String() }

// apiTable is what the cluster serves, the server's favourite version of a group first.
type apiTable struct{ apis []api }

// find gives the version of a kind that the server prefers.
func (t *apiTable) find(group, kind string) (api, bool) {
	return t.first(func(a api) bool { return a.gvr.Group == group && a.kind == kind })
}

// at gives a kind at one version.
func (t *apiTable) at(gv schema.GroupVersion, kind string) (api, bool) {
	return t.first(func(a api) bool { return a.gvr.GroupVersion() == gv && a.kind == kind })
}

func (t *apiTable) hasGroup(group string) bool {
	_, ok := t.first(func(a api) bool { return a.gvr.Group == group })
	return ok
}

func (t *apiTable) first(match func(api) bool) (api, bool) {
	if i := slices.IndexFunc(t.apis, match); i >= 0 {
		return t.apis[i], true
	}
	return api{}, false
}

// core are the built-in kinds that we use, so that most commands need no discovery of the core group.
func core() []api {
	v1 := schema.GroupVersion{Version: "v1"}
	return []api{
		{gvr: v1.WithResource("services"), kind: "Service", namespaced: true},
		{gvr: v1.WithResource("pods"), kind: "Pod", namespaced: true},
		{gvr: v1.WithResource("configmaps"), kind: "ConfigMap", namespaced: true},
		{gvr: v1.WithResource("namespaces"), kind: "Namespace"},
	}
}

// discover reads what the cluster serves, once; with again it reads it anew.
func (c *Cluster) discover(ctx context.Context, again bool) (*apiTable, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apis != nil && !again {
		return c.apis, nil
	}
	raw, err := bodyOf(c.rest.Get().AbsPath("/apis").SetHeader("Accept", aggregated).Do(ctx))
	if err != nil {
		return nil, c.explain("asking which APIs the cluster serves", err)
	}
	table, err := parseGroups(raw)
	if err != nil {
		return nil, err
	}
	if table == nil {
		if table, err = c.discoverGroups(ctx, raw); err != nil {
			return nil, err
		}
	}
	table.apis = append(core(), table.apis...)
	c.apis = table
	return table, nil
}

// parseGroups decodes an aggregated answer; nil where it is the older list.
func parseGroups(raw []byte) (*apiTable, error) {
	var list struct {
		Kind  string `json:"kind"`
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Versions []struct {
				Version   string `json:"version"`
				Resources []struct {
					Resource     string `json:"resource"`
					Scope        string `json:"scope"`
					ResponseKind struct {
						Kind string `json:"kind"`
					} `json:"responseKind"`
				} `json:"resources"`
			} `json:"versions"`
		} `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("decoding the list of APIs: %w", err)
	}
	if list.Kind != "APIGroupDiscoveryList" {
		return nil, nil
	}
	t := &apiTable{}
	for _, g := range list.Items {
		for _, v := range g.Versions {
			gv := schema.GroupVersion{Group: g.Metadata.Name, Version: v.Version}
			for _, r := range v.Resources {
				t.apis = append(t.apis, api{gvr: gv.WithResource(r.Resource), kind: r.ResponseKind.Kind, namespaced: r.Scope == "Namespaced"})
			}
		}
	}
	return t, nil
}

// groupsOfInterest are the groups whose kinds we may ever touch.
func groupsOfInterest() []string {
	return []string{
		"apps", "coordination.k8s.io", groupIstioNetworking, groupIstioSecurity, groupIstioTelemetry, groupGateway,
		groupLinkerdPolicy, "flagger.app", "argoproj.io",
	}
}

// discoverGroups asks group by group, as API servers before 1.26 want it.
func (c *Cluster) discoverGroups(ctx context.Context, raw []byte) (*apiTable, error) {
	var list struct {
		Groups []struct {
			Name      string                                   `json:"name"`
			Versions  []struct{ GroupVersion, Version string } `json:"versions"`
			Preferred struct{ Version string }                 `json:"preferredVersion"`
		} `json:"groups"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("decoding the list of API groups: %w", err)
	}
	t := &apiTable{}
	for _, g := range list.Groups {
		if !slices.Contains(groupsOfInterest(), g.Name) {
			continue
		}
		for _, v := range g.Versions {
			found, err := c.discoverVersion(ctx, schema.GroupVersion{Group: g.Name, Version: v.Version})
			if err != nil {
				return nil, err
			}
			if v.Version == g.Preferred.Version {
				t.apis = append(found, t.apis...)
			} else {
				t.apis = append(t.apis, found...)
			}
		}
	}
	return t, nil
}

func (c *Cluster) discoverVersion(ctx context.Context, gv schema.GroupVersion) ([]api, error) {
	raw, err := bodyOf(c.rest.Get().AbsPath("/apis", gv.Group, gv.Version).Do(ctx))
	if err != nil {
		return nil, c.explain("asking for the kinds of "+gv.String(), err)
	}
	var list struct {
		Resources []struct {
			Name       string `json:"name"`
			Kind       string `json:"kind"`
			Namespaced bool   `json:"namespaced"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("decoding the kinds of %s: %w", gv, err)
	}
	var out []api
	for _, r := range list.Resources {
		if !strings.Contains(r.Name, "/") {
			out = append(out, api{gvr: gv.WithResource(r.Name), kind: r.Kind, namespaced: r.Namespaced})
		}
	}
	return out, nil
}

// resource is the client of a kind in a namespace. A kind that is not served is looked for once more: its definition
// may have been installed meanwhile.
func (c *Cluster) resource(ctx context.Context, apiVersion, kind, namespace string) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, fmt.Errorf("reading apiVersion %q of %s: %w", apiVersion, kind, err)
	}
	for _, again := range []bool{false, true} {
		table, err := c.discover(ctx, again)
		if err != nil {
			return nil, err
		}
		if a, ok := table.at(gv, kind); ok {
			return c.client(a, namespace), nil
		}
	}
	return nil, &NoAPIError{APIVersion: apiVersion, Kind: kind, Server: c.Server()}
}

func (c *Cluster) client(a api, namespace string) dynamic.ResourceInterface {
	if !a.namespaced || namespace == "" {
		return c.dynamic.Resource(a.gvr)
	}
	return c.dynamic.Resource(a.gvr).Namespace(namespace)
}
