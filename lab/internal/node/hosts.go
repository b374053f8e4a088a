package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// hostsWriter keeps the hosts files up to date that stand in for DNS. Files are rewritten in place, for they
// are mounted in containers.
type hostsWriter struct {
	mu       sync.Mutex
	services []*corev1.Service
	files    map[string]hostsFile
}

// hostsFile is what one file says besides the Services.
type hostsFile struct {
	namespace string
	extra     string
}

// add writes a hosts file and keeps it up to date until remove.
func (h *hostsWriter) add(path string, f hostsFile) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	h.files[path] = f
	return h.write(path, f)
}

func (h *hostsWriter) remove(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files, path)
}

func (h *hostsWriter) setServices(services []*corev1.Service) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services = slices.SortedFunc(slices.Values(services), func(a, b *corev1.Service) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	for path, f := range h.files {
		// A file that cannot be written belongs to a pod that is going away.
		_ = h.write(path, f)
	}
}

func (h *hostsWriter) write(path string, f hostsFile) error {
	text := hostsText(h.services, f)
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing a hosts file: %w", err)
	}
	return nil
}

func hostsText(services []*corev1.Service, f hostsFile) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	b.WriteString(f.extra)
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		full := s.Name + "." + s.Namespace
		names := []string{full + ".svc.cluster.local", full + ".svc", full}
		if s.Namespace == f.namespace {
			names = append(names, s.Name)
		}
		fmt.Fprintf(&b, "%s %s\n", s.Spec.ClusterIP, strings.Join(names, " "))
	}
	return b.String()
}

// podHosts is the pod's own part of its hosts file.
func podHosts(pod *corev1.Pod, ip string) hostsFile {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", ip, pod.Name)
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s %s\n", alias.IP, strings.Join(alias.Hostnames, " "))
	}
	return hostsFile{namespace: pod.Namespace, extra: b.String()}
}
