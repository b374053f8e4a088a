package conn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/state"
)

// Status is what a lab says of itself; its JSON form is the answer of `lab status -o json`.
type Status struct {
	Name       string       `json:"name"`
	Ready      bool         `json:"ready"`
	Error      string       `json:"error,omitempty"`
	Kubeconfig string       `json:"kubeconfig"`
	API        string       `json:"api"`
	Prometheus string       `json:"prometheus"`
	Dir        string       `json:"dir"`
	PID        int          `json:"pid"`
	Parts      []PartStatus `json:"parts"`
	Pods       []PodStatus  `json:"pods"`
}

// PartStatus is one process of the control plane, or one step of the start.
type PartStatus struct {
	Name    string        `json:"name"`
	State   string        `json:"state"`
	PID     int           `json:"pid,omitempty"`
	RSS     int64         `json:"rssBytes,omitempty"`
	ReadyIn time.Duration `json:"readyInNanos,omitempty"`
}

// PodStatus is one pod that the node agent runs.
type PodStatus struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	IP        string `json:"ip"`
	Phase     string `json:"phase"`
	Ready     bool   `json:"ready"`
	Restarts  int    `json:"restarts"`
	// Requests are those that the pod's proxy sent or received and that were counted for it.
	Requests   uint64            `json:"requests"`
	Containers []ContainerStatus `json:"containers"`
}

// ContainerStatus is one process tree of a pod.
type ContainerStatus struct {
	Name  string `json:"name"`
	PID   int    `json:"pid,omitempty"`
	Ready bool   `json:"ready"`
	RSS   int64  `json:"rssBytes,omitempty"`
}

// Control talks to the supervisor of one lab.
type Control struct {
	lab    state.Lab
	client *http.Client
}

// NewControl returns a Control for the named lab; the lab need not be running yet.
func NewControl(lab state.Lab) *Control {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialSocket(ctx, lab)
		},
	}
	return &Control{lab: lab, client: &http.Client{Transport: transport}}
}

// Status asks for the lab's state.
func (c *Control) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.do(ctx, http.MethodGet, "/status")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("reading the status of lab %q: %w", c.lab.Name, err)
	}
	return s, nil
}

// StopPart stops one part of the control plane and returns when it has ended.
func (c *Control) StopPart(ctx context.Context, part string) error {
	_, err := c.do(ctx, http.MethodPost, "/parts/"+url.PathEscape(part)+"/stop")
	return err
}

// StartPart starts a stopped part and returns when it is ready.
func (c *Control) StartPart(ctx context.Context, part string) error {
	_, err := c.do(ctx, http.MethodPost, "/parts/"+url.PathEscape(part)+"/start")
	return err
}

// Shutdown ends the lab and returns when the supervisor has said that it will.
func (c *Control) Shutdown(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, "/shutdown")
	return err
}

func (c *Control) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return nil, wrapped.Err // its URL says nothing to people
	}
	if err != nil {
		return nil, fmt.Errorf("asking lab %q: %w", c.lab.Name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("asking lab %q: %w", c.lab.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("lab %q: %s", c.lab.Name, strings.TrimSpace(string(body)))
	}
	return body, nil
}
