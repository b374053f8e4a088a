package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// bench is one run over a lab.
type bench struct {
	options
	lab    *trial.Lab
	dir    string
	pods   map[string]pod
	report *Report
}

// pod is what is needed of a pod of the sample system.
type pod struct{ uid, app string }

// part is a part of the measurement; one under load has all client pods sending meanwhile.
type part struct {
	name      string
	underLoad bool
	do        func(*bench, context.Context, *trial.Load) error
}

func parts() []part {
	return []part{
		{"local", false, (*bench).local},
		{"shares", true, (*bench).shares},
		{"good", true, (*bench).good},
		{"back", true, (*bench).back},
		{"requests", false, (*bench).requests},
	}
}

func partNames() []string {
	var out []string
	for _, p := range parts() {
		out = append(out, p.name)
	}
	return out
}

func newBench(ctx context.Context, o options) (*bench, error) {
	for _, name := range o.only {
		if !slices.Contains(partNames(), name) {
			return nil, fmt.Errorf("--only %s: allowed: %s", name, strings.Join(partNames(), ", "))
		}
	}
	lab, err := trial.Open(ctx, o.name, o.meshpol)
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, lab: lab}
	if err := b.findPods(ctx); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "meshpol-bench-"); err != nil {
		return nil, fmt.Errorf("making a directory for the policies: %w", err)
	}
	b.report = &Report{Date: time.Now(), Lab: o.name, Proxies: len(b.pods), RPS: o.rps, CPUs: runtime.NumCPU(), MemoryGiB: memoryGiB(), LoadBefore: loadAverage()}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// findPods lists the sample system's pods, by "namespace/name".
func (b *bench) findPods(ctx context.Context) error {
	list, err := b.lab.Client.Resource(trial.Pods).Namespace(trial.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app"})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	b.pods = map[string]pod{}
	for _, p := range list.Items {
		if p.GetDeletionTimestamp() == nil {
			b.pods[p.GetNamespace()+"/"+p.GetName()] = pod{uid: string(p.GetUID()), app: p.GetLabels()["app"]}
		}
	}
	return nil
}

func (b *bench) podNames() []string {
	var out []string
	for name := range b.pods {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (b *bench) measure(ctx context.Context) error {
	began := time.Now()
	for _, p := range parts() {
		if len(b.only) > 0 && !slices.Contains(b.only, p.name) {
			continue
		}
		progress("%s …", p.name)
		if err := b.part(ctx, p); err != nil {
			return fmt.Errorf("measuring %s: %w", p.name, err)
		}
	}
	b.report.gather()
	b.report.LoadAfter, b.report.Took = loadAverage(), time.Since(began).Seconds()
	return b.lab.Clear(context.WithoutCancel(ctx))
}

func (b *bench) part(ctx context.Context, p part) error {
	if err := b.lab.Clear(ctx); err != nil {
		return err
	}
	if !p.underLoad {
		return p.do(b, ctx, nil)
	}
	load, err := b.lab.StartLoad(ctx, b.rps, time.Hour)
	if err != nil {
		return err
	}
	defer load.Stop(context.WithoutCancel(ctx))
	return p.do(b, ctx, load)
}

// meshpol runs meshpol to its end; a run that ends otherwise than it must is an error with all that it said.
func (b *bench) meshpol(ctx context.Context, wantExit int, args ...string) (*trial.Run, error) {
	r, err := b.lab.Run(ctx, args...)
	if err != nil {
		return nil, err
	}
	return r, wantedExit(r, wantExit)
}

func wantedExit(r *trial.Run, want int) error {
	if r.Exit == want {
		return nil
	}
	return fmt.Errorf("meshpol %s: exit code %d, want %d; it said:\n%s%s%s", strings.Join(r.Args, " "), r.Exit, want, r.Stdout, r.Stderr, lastEvents(r))
}

func lastEvents(r *trial.Run) string {
	events := r.Events()
	var out strings.Builder
	for _, e := range events[max(0, len(events)-8):] {
		fmt.Fprintf(&out, "%s %s %v\n", e.At.Format("15:04:05.000"), e.Event, e.Fields)
	}
	return out.String()
}

// policy writes a policy for cart and returns its path.
func (b *bench) policy(kind, name, spec string) (string, error) {
	text := fmt.Sprintf("apiVersion: meshpol.io/v1alpha1\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec:\n  target: {service: cart}\n%s", kind, name, trial.Namespace, spec)
	return trial.WriteFile(b.dir, fmt.Sprintf("%s-%d.yaml", name, time.Now().UnixNano()), text)
}

// longTimeout is a timeout in seconds that no answer of cart comes near, however busy the machine is.
const longTimeout = 8

func (b *bench) timeout(seconds int) (string, error) {
	return b.policy("Timeout", "cart-timeout", fmt.Sprintf("  request: %ds\n", seconds))
}

func (b *bench) breaker(connections int) (string, error) {
	return b.policy("CircuitBreaker", "cart-breaker", fmt.Sprintf("  maxConnections: %d\n  maxPendingRequests: 400\n  maxRequests: 400\n", connections))
}

// clients are the pods that send, as the records and the access logs name them.
func (b *bench) clients() []string {
	var out []string
	for _, name := range b.podNames() {
		if app := b.pods[name].app; app == "web" || app == "mobile" {
			out = append(out, name)
		}
	}
	return out
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// loadAverage is the machine's load of the last minute, as Linux says it.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

func memoryGiB() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib float64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %f", &kib); err != nil {
		return 0
	}
	return kib / (1 << 20)
}
