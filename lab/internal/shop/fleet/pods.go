// Package fleet reaches the shop's pods from the host: it finds them with the API server and speaks to their control
// ports inside the lab's network.
package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Namespace is where the shop runs.
const Namespace = "shop"

// Pod is one running pod of the shop.
type Pod struct {
	Name    string `json:"name"`
	App     string `json:"app"`
	Version string `json:"version"`
	IP      string `json:"ip"`
}

// podList is the part of the API server's answer that is needed here.
type podList struct {
	Items []struct {
		Metadata struct {
			Name              string            `json:"name"`
			Labels            map[string]string `json:"labels"`
			DeletionTimestamp *string           `json:"deletionTimestamp"`
		} `json:"metadata"`
		Status struct {
			Phase string `json:"phase"`
			PodIP string `json:"podIP"`
		} `json:"status"`
	} `json:"items"`
}

// Pods lists the running pods of some apps, by name. It is an error when one of the apps has none.
func Pods(ctx context.Context, kubeconfigPath string, apps []string) ([]Pod, error) {
	all, err := list(ctx, kubeconfigPath)
	if err != nil {
		return nil, err
	}
	var out []Pod
	for _, app := range apps {
		n := len(out)
		for _, pod := range all {
			if pod.App == app {
				out = append(out, pod)
			}
		}
		if len(out) == n {
			return nil, fmt.Errorf("finding pods of app %q: none runs in namespace %s; running apps: %s",
				app, Namespace, strings.Join(names(all, func(p Pod) string { return p.App }), ", "))
		}
	}
	return out, nil
}

// Named is the running pod of a name.
func Named(ctx context.Context, kubeconfigPath, name string) (Pod, error) {
	all, err := list(ctx, kubeconfigPath)
	if err != nil {
		return Pod{}, err
	}
	i := slices.IndexFunc(all, func(p Pod) bool { return p.Name == name })
	if i < 0 {
		return Pod{}, fmt.Errorf("finding pod %q: it does not run in namespace %s; running pods: %s",
			name, Namespace, strings.Join(names(all, func(p Pod) string { return p.Name }), ", "))
	}
	return all[i], nil
}

func names(pods []Pod, of func(Pod) string) []string {
	var out []string
	for _, p := range pods {
		out = append(out, of(p))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func list(ctx context.Context, kubeconfigPath string) ([]Pod, error) {
	server, err := openAPI(kubeconfigPath)
	if err != nil {
		return nil, err
	}
	var answer podList
	path := "/api/v1/namespaces/" + Namespace + "/pods?labelSelector=" + url.QueryEscape("app")
	if err := server.get(ctx, path, &answer); err != nil {
		return nil, fmt.Errorf("listing the pods of namespace %s: %w", Namespace, err)
	}
	var out []Pod
	for _, item := range answer.Items {
		m, s := item.Metadata, item.Status
		if s.Phase == "Running" && s.PodIP != "" && m.DeletionTimestamp == nil {
			out = append(out, Pod{Name: m.Name, App: m.Labels["app"], Version: m.Labels["version"], IP: s.PodIP})
		}
	}
	slices.SortFunc(out, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (a api) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.server, "/")+path, nil)
	if err != nil {
		return err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("the API server answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
