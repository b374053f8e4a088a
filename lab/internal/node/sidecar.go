package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	cri "github.com/meshpol/meshpol/lab/internal/container"
)

// IstioVersion is what the proxies tell istiod they are.
const IstioVersion = "1.31.0"

// rootCert is the ConfigMap in which istiod gives its root certificate to every namespace.
const rootCert = "istio-ca-root-cert"

// prepareSidecar writes the files that Istio's volumes would hold, at the places where pilot-agent looks for
// them from its own directory, and returns the variables that Istio's injection would set.
func (c *container) prepareSidecar(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	client := c.worker.agent.Client
	token, err := client.Token(ctx, pod.Namespace, account(pod), "istio-ca", tokenSeconds)
	if err != nil {
		return nil, err
	}
	root, err := client.ConfigMap(ctx, pod.Namespace, rootCert)
	if err != nil {
		return nil, fmt.Errorf("waiting for istiod to give its root certificate to namespace %s: %w", pod.Namespace, err)
	}
	uid := c.uid()
	for path, text := range map[string]string{
		"var/run/secrets/tokens/istio-token":        token,
		"var/run/secrets/istio/root-cert.pem":       root.Data["root-cert.pem"],
		"etc/istio/pod/labels":                      downward(pod.Labels),
		"etc/istio/pod/annotations":                 downward(pod.Annotations),
		"etc/istio/proxy/.keep":                     "",
		"var/run/secrets/workload-spiffe-uds/.keep": "",
		"var/lib/istio/data/.keep":                  "",
	} {
		if err := writeOwned(c.dir(), path, text, uid); err != nil {
			return nil, err
		}
	}
	return c.sidecarEnv(pod)
}

func (c *container) sidecarEnv(pod *corev1.Pod) ([]string, error) {
	proxyConfig, err := json.Marshal(map[string]any{
		"binaryPath": filepath.Join(cri.BinDir, "envoy"), "configPath": "./etc/istio/proxy",
		"concurrency": 1, "statusPort": 15020, "discoveryAddress": "istiod.istio-system.svc:15012",
	})
	if err != nil {
		return nil, err
	}
	workload := workloadName(pod)
	var apps []string
	for _, other := range pod.Spec.Containers {
		if other.Name != sidecarName {
			apps = append(apps, other.Name)
		}
	}
	return []string{
		"POD_NAME=" + pod.Name, "POD_NAMESPACE=" + pod.Namespace,
		"INSTANCE_IP=" + c.worker.ip(), "HOST_IP=" + Address, "SERVICE_ACCOUNT=" + account(pod),
		"ISTIO_META_CLUSTER_ID=" + clusterName, "ISTIO_META_INTERCEPTION_MODE=REDIRECT",
		"ISTIO_META_WORKLOAD_NAME=" + workload, "ISTIO_META_MESH_ID=cluster.local",
		"ISTIO_META_OWNER=kubernetes://apis/apps/v1/namespaces/" + pod.Namespace + "/deployments/" + workload,
		"ISTIO_META_NODE_NAME=" + Name, "ISTIO_META_APP_CONTAINERS=" + strings.Join(apps, ","),
		"ISTIO_META_ISTIO_VERSION=" + IstioVersion,
		"TRUST_DOMAIN=cluster.local", "CA_ADDR=istiod.istio-system.svc:15012", "PILOT_CERT_PROVIDER=istiod",
		"ISTIO_BOOTSTRAP=" + filepath.Join(cri.ShareDir, "envoy_bootstrap.json"),
		"PROXY_CONFIG=" + string(proxyConfig),
	}, nil
}

// workloadName is the name of the Deployment behind a pod, or of its other owner, or its own.
func workloadName(pod *corev1.Pod) string {
	for _, owner := range pod.OwnerReferences {
		if owner.Kind != "ReplicaSet" {
			return owner.Name
		}
		return strings.TrimSuffix(owner.Name, "-"+pod.Labels["pod-template-hash"])
	}
	return pod.Name
}

// downward writes a map as the downward API does.
func downward(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q\n", k, m[k])
	}
	return b.String()
}

// writeOwned writes a file below dir; it and the directories made for it belong to uid.
func writeOwned(dir, path, text string, uid int) error {
	at := dir
	for _, elem := range strings.Split(filepath.Dir(path), "/") {
		at = filepath.Join(at, elem)
		if err := ownDir(at, uid); err != nil {
			return err
		}
	}
	full := filepath.Join(dir, path)
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chown(full, uid, uid)
}
