package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// manyServices are the targets of 1,000 policies; manyNamespace is where they are, for as long as it takes.
const (
	manyServices  = 334
	manyPolicies  = 1000
	manyNamespace = "bench-plan"
)

// local measures what a person waits for at the prompt, and how much memory it takes.
func (b *bench) local(ctx context.Context, _ *trial.Load) error {
	files, err := b.manyPolicies()
	if err != nil {
		return err
	}
	const group = "time and memory"
	for _, c := range []struct {
		name  string
		times int
		limit float64
		args  []string
	}{
		{"meshpol version", 20, 0.06, []string{"version"}},
		{"validate of 1,000 policies, offline", 10, 1, []string{"validate", "--offline", "-f", files}},
	} {
		if err := b.repeated(ctx, group, c.name, c.times, c.limit, c.args); err != nil {
			return err
		}
	}
	defer func() { _ = b.dropServices(context.WithoutCancel(ctx)) }()
	if err := b.makeServices(ctx); err != nil {
		return err
	}
	return b.repeated(ctx, group, "plan of 1,000 policies against the lab", 5, 5, []string{"plan", "-f", files})
}

// repeated runs a command some times and adds its time and its memory.
func (b *bench) repeated(ctx context.Context, group, name string, times int, limit float64, args []string) error {
	var took, peaks []float64
	for range times {
		began := time.Now()
		peak, err := b.command(ctx, args)
		if err != nil {
			return err
		}
		took, peaks = append(took, time.Since(began).Seconds()), append(peaks, peak)
	}
	b.report.sample(group, name, "s", took, limit, "")
	b.report.sample(group, name+", memory", "MB", peaks, 200, "")
	return nil
}

// command runs meshpol without events and returns its highest memory in MB.
func (b *bench) command(ctx context.Context, args []string) (float64, error) {
	cmd := exec.CommandContext(ctx, b.lab.Meshpol, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.lab.Kubeconfig, "MESHPOL_PROMETHEUS="+b.lab.Prometheus)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("running meshpol: %w", err)
	}
	peak := weigh(cmd.Process.Pid)
	err := cmd.Wait()
	if err != nil {
		return 0, fmt.Errorf("meshpol %s: %w; it said:\n%s", strings.Join(args, " "), err, said.String())
	}
	return peak(), nil
}

// weighed runs meshpol with events to its good end and returns its highest memory in MB.
func (b *bench) weighed(ctx context.Context, args ...string) (*trial.Run, float64, error) {
	r, err := b.lab.Start(ctx, nil, args...)
	if err != nil {
		return nil, 0, err
	}
	peak := weigh(r.PID())
	return r.Wait(), peak(), wantedExit(r, 0)
}

// weigh reads a process's high-water mark until it ends; the answer is in MB. What wait(2) says of it would be no use:
// a child begins with the mark of its parent.
func weigh(pid int) func() float64 {
	done := make(chan float64)
	go func() {
		highest := 0.0
		for {
			now, ok := highWater(pid)
			if !ok {
				done <- highest / 1000 * 1.024
				return
			}
			highest = max(highest, now)
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() float64 { return <-done }
}

// highWater is the most memory that a process had so far, in KiB; false once it has none any more.
func highWater(pid int) (float64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, found := strings.Cut(string(b), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); !found || err != nil {
		return 0, false
	}
	return kib, true
}

// manyPolicies writes 1,000 policies of the kinds that work into one file.
func (b *bench) manyPolicies() (string, error) {
	var docs []string
	for i := 0; len(docs) < manyPolicies; i++ {
		for _, p := range [][2]string{
			{"Timeout", "request: 2s"},
			{"Retry", "attempts: 2, perTryTimeout: 500ms, on: [connect-failure, 503]"},
			{"CircuitBreaker", "maxConnections: 100, outlierDetection: {consecutiveErrors: 5, maxEjectionPercent: 50}"},
		} {
			if len(docs) < manyPolicies {
				docs = append(docs, fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: %s\nmetadata: {name: p%d, namespace: %s}\nspec: {target: {service: s%d}, %s}\n",
					p[0], i, manyNamespace, i, p[1]))
			}
		}
	}
	return trial.WriteFile(b.dir, "thousand.yaml", strings.Join(docs, "---\n"))
}

func (b *bench) makeServices(ctx context.Context) error {
	if err := b.create(ctx, namespaces(), "", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": manyNamespace}}); err != nil {
		return err
	}
	for i := range manyServices {
		name := fmt.Sprintf("s%d", i)
		err := b.create(ctx, schema.GroupVersionResource{Version: "v1", Resource: "services"}, manyNamespace, map[string]any{
			"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"selector": map[string]any{"app": name}, "ports": []any{map[string]any{"name": "http", "port": int64(80)}}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}

func (b *bench) create(ctx context.Context, r schema.GroupVersionResource, namespace string, o map[string]any) error {
	_, err := b.lab.Client.Resource(r).Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: o}, metav1.CreateOptions{})
	if err != nil && !errors.IsAlreadyExists(err) {
		return fmt.Errorf("creating %s: %w", r.Resource, err)
	}
	return nil
}

// dropServices removes the targets again and waits until they are gone, since every proxy hears of them.
func (b *bench) dropServices(ctx context.Context) error {
	if err := b.lab.Client.Resource(namespaces()).Delete(ctx, manyNamespace, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting namespace %s: %w", manyNamespace, err)
	}
	return trial.Eventually(ctx, time.Minute, func() (bool, error) {
		_, err := b.lab.Client.Resource(namespaces()).Get(ctx, manyNamespace, metav1.GetOptions{})
		return errors.IsNotFound(err), nil
	})
}
