package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshpol/meshpol/pkg/policy"
)

// injected selects the pods that Istio's injector gave a proxy; a gateway's pods are injected too.
const injected = "security.istio.io/tlsMode"

// slimPod is what we decode of a pod: the rest of its spec is dropped while it is read.
type slimPod struct {
	Metadata struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		Labels            map[string]string `json:"labels"`
		DeletionTimestamp *time.Time        `json:"deletionTimestamp"`
		OwnerReferences   []struct {
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Controller bool   `json:"controller"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		Containers     []slimContainer `json:"containers"`
		InitContainers []slimContainer `json:"initContainers"`
	} `json:"spec"`
	Status struct {
		Phase      string    `json:"phase"`
		PodIP      string    `json:"podIP"`
		StartTime  time.Time `json:"startTime"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

type slimContainer struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// Pods lists the pods of a namespace ("" = all) without their specs.
func (c *Cluster) Pods(ctx context.Context, namespace string) ([]policy.Pod, error) {
	return c.podsWith(ctx, namespace, "")
}

func (c *Cluster) podsWith(ctx context.Context, namespace, selector string) ([]policy.Pod, error) {
	var out []policy.Pod
	err := c.eachPod(ctx, namespace, selector, func(p slimPod) { out = append(out, p.policy()) })
	return out, err
}

// eachPod walks the pods in chunks. Where a chunk's token has expired, the walk begins anew.
func (c *Cluster) eachPod(ctx context.Context, namespace, selector string, do func(slimPod)) error {
	var pods []slimPod
	for token := ""; ; {
		page, next, err := c.podPage(ctx, namespace, selector, token)
		if apierrors.IsResourceExpired(err) && token != "" {
			pods, token = nil, ""
			continue
		}
		if err != nil {
			return c.explain("listing pods", err)
		}
		pods = append(pods, page...)
		if token = next; token == "" {
			break
		}
	}
	for _, p := range pods {
		do(p)
	}
	return nil
}

func (c *Cluster) podPage(ctx context.Context, namespace, selector, token string) ([]slimPod, string, error) {
	path := []string{"/api/v1/pods"}
	if namespace != "" {
		path = []string{"/api/v1/namespaces", namespace, "pods"}
	}
	req := c.rest.Get().AbsPath(path...).Param("limit", strconv.Itoa(chunk))
	if selector != "" {
		req.Param("labelSelector", selector)
	}
	if token != "" {
		req.Param("continue", token)
	}
	raw, err := bodyOf(req.Do(ctx))
	if err != nil {
		return nil, "", err
	}
	var list struct {
		Metadata struct {
			Continue string `json:"continue"`
		} `json:"metadata"`
		Items []slimPod `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, "", fmt.Errorf("decoding a list of pods: %w", err)
	}
	return list.Items, list.Metadata.Continue, nil
}

func (p slimPod) policy() policy.Pod {
	return policy.Pod{
		Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, IP: p.Status.PodIP, Labels: p.Metadata.Labels,
		Workload: p.workload(), Proxy: p.proxy(), Ready: p.ready(), Started: p.Status.StartTime,
		Terminating: p.Metadata.DeletionTimestamp != nil,
	}
}

// workload is the name of what people deployed: a Deployment's pods belong to a ReplicaSet whose name ends in the hash
// of the pod template.
func (p slimPod) workload() string {
	for _, o := range p.Metadata.OwnerReferences {
		if !o.Controller || o.Kind == "Node" {
			continue
		}
		if hash := p.Metadata.Labels["pod-template-hash"]; o.Kind == "ReplicaSet" && hash != "" {
			return strings.TrimSuffix(o.Name, "-"+hash)
		}
		return o.Name
	}
	return p.Metadata.Name
}

// proxy tells whether a sidecar runs in the pod, as a container or as a native sidecar among the init containers.
func (p slimPod) proxy() bool {
	isProxy := func(c slimContainer) bool { return c.Name == "istio-proxy" || c.Name == "linkerd-proxy" }
	return slices.ContainsFunc(p.Spec.Containers, isProxy) || slices.ContainsFunc(p.Spec.InitContainers, isProxy)
}

func (p slimPod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// Label sets a label of one pod, or removes it where the value is empty. A pod that is gone is no error.
func (c *Cluster) Label(ctx context.Context, namespace, name, key, value string) error {
	var v any
	if value != "" {
		v = value
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{key: v}}})
	if err != nil {
		return fmt.Errorf("encoding label %s: %w", key, err)
	}
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	_, err = c.dynamic.Resource(gvr).Namespace(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain(fmt.Sprintf("labelling pod %s/%s", namespace, name), err)
}
