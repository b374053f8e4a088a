package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Identity is the name under which the API server knows the caller. Locks, requests and approvals bear it.
func (c *Cluster) Identity(ctx context.Context) (string, error) {
	for _, version := range []string{"v1", "v1beta1"} {
		body := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/%s","kind":"SelfSubjectReview"}`, version)
		raw, err := bodyOf(c.rest.Post().AbsPath("/apis/authentication.k8s.io", version, "selfsubjectreviews").
			SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx))
		if notServed(err) && version == "v1" {
			continue
		}
		if err != nil {
			return "", c.explain("asking the API server who we are", err)
		}
		var review struct {
			Status struct {
				UserInfo struct {
					Username string `json:"username"`
				} `json:"userInfo"`
			} `json:"status"`
		}
		if err := json.Unmarshal(raw, &review); err != nil {
			return "", fmt.Errorf("asking the API server who we are: %w", err)
		}
		return review.Status.UserInfo.Username, nil
	}
	return "", fmt.Errorf("asking the API server who we are: it has no SelfSubjectReview (Kubernetes before 1.27)")
}

// Holder is the name that a lock bears: who, on which machine, in which process.
func Holder(user, host string, pid int) string { return fmt.Sprintf("%s@%s/%d", user, host, pid) }

// Access is one right, as RBAC names it.
type Access struct{ Verb, Group, Resource, Subresource, Namespace, Name string }

// Allowed asks the API server whether the caller has a right, and why not.
func (c *Cluster) Allowed(ctx context.Context, a Access) (bool, string, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": a.Verb, "group": a.Group, "resource": a.Resource, "subresource": a.Subresource, "namespace": a.Namespace, "name": a.Name,
		}},
	})
	if err != nil {
		return false, "", fmt.Errorf("encoding an access review: %w", err)
	}
	raw, err := bodyOf(c.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	if err != nil {
		return false, "", c.explain("asking for the right to "+strings.TrimSpace(a.Verb+" "+a.Resource), err)
	}
	var review struct {
		Status struct {
			Allowed bool   `json:"allowed"`
			Reason  string `json:"reason"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &review); err != nil {
		return false, "", fmt.Errorf("decoding an access review: %w", err)
	}
	return review.Status.Allowed, review.Status.Reason, nil
}
