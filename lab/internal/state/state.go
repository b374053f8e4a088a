// Package state says where one lab keeps its files and which ports of the machine it uses.
// Everything the rest of the machine can see of a lab derives from its name.
package state

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
)

// DefaultName is the lab that commands mean when they are given no name.
const DefaultName = "lab"

// rootVariable overrides the directory that holds the labs.
const rootVariable = "MESHPOL_LAB_STATE"

const defaultRoot = "/var/lib/meshpol-lab"

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Lab is the place of one lab on this machine.
type Lab struct {
	// Name is the lab's name, a DNS label of at most 32 characters.
	Name string
	// Dir holds all of the lab's files.
	Dir string
}

// New returns the place of the lab of that name; the lab need not exist.
func New(name string) (Lab, error) {
	if !validName.MatchString(name) {
		return Lab{}, fmt.Errorf("lab name %q: use at most 32 lower-case letters, digits and dashes", name)
	}
	return Lab{Name: name, Dir: filepath.Join(root(), name)}, nil
}

func root() string {
	if dir := os.Getenv(rootVariable); dir != "" {
		return dir
	}
	return defaultRoot
}

// Path joins elements to the lab's directory.
func (l Lab) Path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

// Socket is the supervisor's unix socket.
func (l Lab) Socket() string { return l.Path("lab.sock") }

// Kubeconfig is the administrator's kubeconfig file, for use on this machine.
func (l Lab) Kubeconfig() string { return l.Path("kubeconfig") }

// Log is the file that takes the output of one part or container.
func (l Lab) Log(part string) string { return l.Path("logs", part+".log") }

// Ports are the addresses on 127.0.0.1 through which the machine reaches a lab.
type Ports struct {
	// API leads to the API server.
	API int `json:"api"`
	// Prometheus leads to Prometheus.
	Prometheus int `json:"prometheus"`
}

// Ports returns the lab's ports: fixed for the default lab, spread by name for others.
func (l Lab) Ports() Ports {
	if l.Name == DefaultName {
		return Ports{API: 16443, Prometheus: 19090}
	}
	h := fnv.New32a()
	h.Write([]byte(l.Name))
	n := int(h.Sum32() % 1000)
	return Ports{API: 17000 + n, Prometheus: 18000 + n}
}
