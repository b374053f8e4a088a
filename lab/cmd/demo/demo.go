package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// part is one scene of the demo.
type part struct {
	title, story string
	files        map[string]string
	args         []string
	rules        []app.Rule
	wantExit     int
	// tells says of which requests isNew can tell whether they met the new policy.
	tells, isNew referee.Predicate
	// harm is what the new policy does to a request where it is bad.
	harm referee.Predicate
}

type demo struct {
	lab  *trial.Lab
	rps  float64
	dir  string
	name string
}

func newDemo(ctx context.Context, name, meshpol string, rps float64) (*demo, error) {
	lab, err := trial.Open(ctx, name, meshpol)
	if err != nil {
		return nil, err
	}
	if err := lab.AwaitMetrics(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "meshpol-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the policies: %w", err)
	}
	return &demo{lab: lab, rps: rps, dir: dir, name: name}, nil
}

func (d *demo) show(ctx context.Context, only int) error {
	defer os.RemoveAll(d.dir)
	began := time.Now()
	fmt.Printf("A real Istio mesh on this machine: %d pods, each with its own Envoy, %.0f requests per second from web and mobile to cart.\n", len(d.lab.Status.Pods), d.rps)
	parts := parts()
	for i, p := range parts {
		if only != 0 && only != i+1 {
			continue
		}
		fmt.Printf("\n=== %d of %d: %s ===\n%s\n", i+1, len(parts), p.title, p.story)
		if err := d.part(ctx, p); err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	fmt.Printf("\nAll of it took %s.\n\n", time.Since(began).Round(time.Second))
	if err := d.lab.Behave(ctx, []string{"cart"}, nil); err != nil {
		return err
	}
	fmt.Printf(`What meshpol wrote in the last part is taken away when the next one begins, so that each starts from the same mesh; the shop is quick again.

Look around, and try a policy of your own:
  export KUBECONFIG=%s MESHPOL_PROMETHEUS=%s
  kubectl get pods,vs,dr -A            # if you have kubectl
  bin/meshpol status -A                # the last rollout of each target
  bin/meshpol plan -f examples/timeout # what a rollout would write
  bin/lab load run --name %s --rps 100 --duration 10m &   # a rollout needs requests to judge by
  bin/meshpol rollout -f examples/timeout --step0-min 15s --step-min 15s --steps 10,50 --bake 15s
  bin/lab behave --help                # make the shop slow, or fail, or hang
Stop:
  bin/lab down --name %s
`, d.lab.Kubeconfig, d.lab.Prometheus, d.name, d.name)
	return nil
}

func (d *demo) part(ctx context.Context, p part) error {
	if err := d.lab.Clear(ctx); err != nil {
		return err
	}
	if len(p.rules) > 0 {
		if err := d.lab.Behave(ctx, []string{"cart"}, p.rules); err != nil {
			return err
		}
	}
	before, err := d.lab.Objects(ctx)
	if err != nil {
		return err
	}
	load, err := d.lab.StartLoad(ctx, d.rps, 10*time.Minute)
	if err != nil {
		return err
	}
	defer load.Stop(context.WithoutCancel(ctx))
	r, err := d.meshpol(ctx, p)
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // the last answers of the last second
	log, err := load.Records(ctx)
	if err != nil {
		return err
	}
	after, err := d.lab.Objects(ctx)
	if err != nil {
		return err
	}
	return d.tell(p, r, log, before, after)
}

// meshpol runs the real binary and lets its own lines through.
func (d *demo) meshpol(ctx context.Context, p part) (*trial.Run, error) {
	args := append([]string{}, p.args...)
	for name, text := range p.files {
		path, err := trial.WriteFile(d.dir, name, text)
		if err != nil {
			return nil, err
		}
		args = append(args, "-f", path)
	}
	fmt.Printf("$ meshpol %s\n", strings.ReplaceAll(strings.Join(args, " "), d.dir+"/", ""))
	r, err := d.lab.Start(ctx, sayer(), args...)
	if err != nil {
		return nil, err
	}
	return r.Wait(), nil
}

func (d *demo) tell(p part, r *trial.Run, log referee.Log, before, after map[string]string) error {
	if r.Exit != p.wantExit {
		return fmt.Errorf("meshpol ended with exit code %d, expected %d; it said:\n%s%s", r.Exit, p.wantExit, r.Stdout, r.Stderr)
	}
	fmt.Printf("\n  %-10s %-8s %-22s %s\n", "step", "asked", "clients saw", "proxies")
	for _, s := range r.Steps() {
		seen := trial.See(log, s, p.tells, p.isNew)
		fmt.Printf("  %-10s %-8s %-22s %d/%d in %.2f s\n", s.Name, askedText(s), seenText(s, seen), s.Confirmed, s.Concerned, s.Took.Seconds())
	}
	if p.harm != nil {
		tellHarm(r, log, p.harm)
	}
	same := maps.Equal(before, after)
	switch {
	case p.wantExit == 0 && same:
		return fmt.Errorf("the rollout succeeded and the mesh objects are as before")
	case p.wantExit == 0:
		fmt.Println("  the mesh objects now, as if written by hand:")
		for name, text := range after {
			if before[name] != text {
				fmt.Printf("    %s %s\n", name, text)
			}
		}
	case !same:
		return fmt.Errorf("the rollout was taken back and the mesh objects differ:\nbefore %v\nafter %v", before, after)
	default:
		fmt.Println("  the mesh objects are equal to those before, byte for byte")
	}
	return nil
}

func askedText(s trial.Step) string {
	switch {
	case s.Mode == "staged":
		return "(counts)"
	case s.By == "all":
		return "100 %"
	case s.By == "instance":
		return fmt.Sprintf("%.0f %% pods", s.Share*100)
	}
	return fmt.Sprintf("%.0f %%", s.Share*100)
}

func seenText(s trial.Step, seen trial.Seen) string {
	text := fmt.Sprintf("%.2f %% of %d", seen.Share()*100, seen.Total)
	if s.By == "request" && s.Mode == "enforce" {
		text += fmt.Sprintf(" (%+.1f se)", seen.Sigmas())
	}
	return text
}

func tellHarm(r *trial.Run, log referee.Log, harm referee.Predicate) {
	h := referee.Harmed(log.Records, referee.Interval{}, harm)
	fmt.Printf("  harmed requests: %d of %d", h.Bad, h.Total)
	if h.First != nil {
		fmt.Printf("; from the first to the last %.1f s", h.Last.Start().Sub(h.First.Start()).Seconds())
	}
	fmt.Println()
	for _, e := range r.Named("neutralised") {
		var took float64
		took, _ = e.Fields["tookSeconds"].(float64)
		fmt.Printf("  decision to last proxy neutralised: %.2f s\n", took)
	}
}

// slow is a path rule: answers after so much.
func slow(path string, delay time.Duration, ratio float64) app.Rule {
	return app.Rule{Path: path, SlowRatio: ratio, SlowDelay: jsonhttp.Duration(delay)}
}
