// Package container turns a process into the main process of a container: its own mounts, process and network
// namespace and user, on the machine's files. There are no images: programs come from a mounted directory.
package container

import (
	"encoding/json"
	"fmt"
	"os"
)

// Command is the hidden subcommand of the lab binary that calls Main.
const Command = "container-init"

// Places inside every container.
const (
	// BinDir holds the lab's programs.
	BinDir = "/run/lab/bin"
	// ShareDir holds files of the lab that containers read.
	ShareDir = "/run/lab/share"
	// DataDir keeps what a container must find again after a restart.
	DataDir = "/run/lab/data"
	// TokenDir holds the pod's ServiceAccount token, the API server's CA and the namespace.
	TokenDir = "/run/secrets/kubernetes.io/serviceaccount"
)

// Mount shows a file or directory of the machine at another place in the container.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Spec is everything a container's first process needs to know.
type Spec struct {
	// Mounts are made in order, over an empty /run.
	Mounts []Mount  `json:"mounts"`
	UID    int      `json:"uid"`
	GID    int      `json:"gid"`
	Dir    string   `json:"dir"`
	Env    []string `json:"env"`
	// Args is the command line; the first one is a path inside the container.
	Args []string `json:"args"`
	// NetNS says that descriptor 3 is the network namespace to enter.
	NetNS bool `json:"netns"`
}

// Write stores the spec for Main to read.
func (s Spec) Write(path string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func read(path string) (Spec, error) {
	var s Spec
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("reading the container's spec: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("reading the container's spec %s: %w", path, err)
	}
	if len(s.Args) == 0 {
		return s, fmt.Errorf("the container's spec %s has no command", path)
	}
	return s, nil
}
