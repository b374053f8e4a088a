package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	cri "github.com/meshpol/meshpol/lab/internal/container"
	"github.com/meshpol/meshpol/lab/internal/intercept"
	"github.com/meshpol/meshpol/lab/internal/process"
)

// appUID runs containers that ask for no user.
const appUID = 1000

// tokenSeconds is the life of the tokens that pods get; they outlive every lab, so they are not renewed.
const tokenSeconds = 30 * 24 * 3600

// prepare writes the container's files and says what its process needs.
func (c *container) prepare(ctx context.Context) (cri.Spec, error) {
	pod, uid := c.worker.current(), c.uid()
	name, err := program(c.spec.Image)
	if err != nil {
		return cri.Spec{}, err
	}
	bin := c.worker.agent.Lab.Path("bin")
	if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
		return cri.Spec{}, fmt.Errorf("image %s: the lab has no program %s", c.spec.Image, name)
	}
	if err := ownDir(c.dir(), uid); err != nil {
		return cri.Spec{}, err
	}
	token, err := c.worker.writeToken(ctx, pod)
	if err != nil {
		return cri.Spec{}, err
	}
	env := c.environment(pod)
	if c.spec.Name == sidecarName {
		more, err := c.prepareSidecar(ctx, pod)
		if err != nil {
			return cri.Spec{}, err
		}
		env = append(more, env...)
	}
	data, err := c.dataDir(name, uid)
	if err != nil {
		return cri.Spec{}, err
	}
	lab := c.worker.agent.Lab
	return cri.Spec{
		Mounts: []cri.Mount{
			{Source: bin, Target: cri.BinDir, ReadOnly: true},
			{Source: lab.Path("share"), Target: cri.ShareDir, ReadOnly: true},
			{Source: data, Target: filepath.Join(cri.DataDir, name)},
			{Source: token, Target: cri.TokenDir, ReadOnly: true},
			{Source: c.worker.hostsPath(), Target: "/etc/hosts"},
			{Source: lab.Path("share", "resolv.conf"), Target: "/etc/resolv.conf"},
		},
		UID: uid, GID: uid, Dir: c.dir(), Env: env, Args: c.commandLine(name, env), NetNS: true,
	}, nil
}

func (c *container) uid() int {
	pod := c.worker.current()
	switch {
	case c.spec.SecurityContext != nil && c.spec.SecurityContext.RunAsUser != nil:
		return int(*c.spec.SecurityContext.RunAsUser)
	case c.spec.Name == sidecarName:
		return intercept.ProxyUID
	case pod.Spec.SecurityContext != nil && pod.Spec.SecurityContext.RunAsUser != nil:
		return int(*pod.Spec.SecurityContext.RunAsUser)
	}
	return appUID
}

// commandLine is the container's command, or its image's program, with its arguments.
func (c *container) commandLine(name string, env []string) []string {
	args := []string{filepath.Join(cri.BinDir, name)}
	if len(c.spec.Command) > 0 {
		args = append([]string{}, c.spec.Command...)
		if !filepath.IsAbs(args[0]) {
			args[0] = filepath.Join(cri.BinDir, args[0])
		}
	}
	args = append(args, c.spec.Args...)
	if c.spec.Name == sidecarName && len(args) == 1 {
		args = append(args, "proxy", "sidecar")
	}
	for i := range args {
		args[i] = expand(args[i], env)
	}
	return args
}

// environment is what the pod's spec asks for, after what every container gets.
func (c *container) environment(pod *corev1.Pod) []string {
	env := []string{
		process.Marker + "=" + c.worker.agent.Lab.Name,
		"PATH=" + cri.BinDir + ":/usr/local/bin:/usr/bin:/bin",
		"HOME=" + c.dir(), "HOSTNAME=" + pod.Name,
		"KUBERNETES_SERVICE_HOST=" + APIAddress, "KUBERNETES_SERVICE_PORT=443",
	}
	for _, v := range c.spec.Env {
		value := expand(v.Value, env)
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil {
			value = c.field(pod, v.ValueFrom.FieldRef.FieldPath)
		}
		env = append(env, v.Name+"="+value)
	}
	return env
}

func (c *container) field(pod *corev1.Pod, path string) string {
	switch path {
	case "metadata.name":
		return pod.Name
	case "metadata.namespace":
		return pod.Namespace
	case "metadata.uid":
		return string(pod.UID)
	case "spec.nodeName":
		return pod.Spec.NodeName
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName
	case "status.podIP":
		return c.worker.ip()
	case "status.hostIP":
		return Address
	}
	for prefix, values := range map[string]map[string]string{
		"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations,
	} {
		if key, ok := strings.CutPrefix(path, prefix+"['"); ok {
			return values[strings.TrimSuffix(key, "']")]
		}
	}
	return ""
}

// expand replaces $(NAME) by the variable's value, as Kubernetes does; unknown names stay.
func expand(s string, env []string) string {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		s = strings.ReplaceAll(s, "$("+name+")", value)
	}
	return s
}

// writeToken writes what client-go's in-cluster configuration reads.
func (w *worker) writeToken(ctx context.Context, pod *corev1.Pod) (string, error) {
	dir := filepath.Join(w.agent.podDir(pod), "serviceaccount")
	if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	token, err := w.agent.Client.Token(ctx, pod.Namespace, account(pod), "", tokenSeconds)
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{
		"ca.crt": string(w.agent.CA), "namespace": pod.Namespace, "token": token,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// dataDir is kept when the pod is replaced; programs that run in several pods at once do not use theirs.
func (c *container) dataDir(name string, uid int) (string, error) {
	dir := c.worker.agent.Lab.Path("data", name)
	return dir, ownDir(dir, uid)
}

func account(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName == "" {
		return "default"
	}
	return pod.Spec.ServiceAccountName
}

func ownDir(dir string, uid int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chown(dir, uid, uid)
}
