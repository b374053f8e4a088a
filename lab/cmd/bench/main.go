// Command bench runs the real meshpol on a lab under load and measures what a rollout promises: the share that requests
// really got, how far a proof is behind the proxies, how long the way back takes, errors that clients saw, requests to
// the API server, time and memory. The clients and their Envoys are the witnesses; meshpol's own word is what is checked.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	name, meshpol, output string
	only                  []string
	rps                   float64
	steps, backs, repeat  int
	hold                  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := parse()
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	if o.output == "json" {
		err = b.report.writeJSON(os.Stdout)
	} else {
		err = b.report.writeText(os.Stdout)
	}
	if err != nil {
		return err
	}
	return b.report.broken()
}

func parse() (options, error) {
	var o options
	var only string
	flag.StringVar(&o.name, "name", "bench", "the lab to measure in; it must be up, with --scrape-interval 1s")
	flag.StringVar(&o.meshpol, "meshpol", "", "path of the meshpol binary")
	flag.StringVar(&o.output, "o", "text", "text or json")
	flag.StringVar(&only, "only", "", "some of: "+strings.Join(partNames(), ",")+" (default: all)")
	flag.Float64Var(&o.rps, "rps", 500, "requests per second of all clients together")
	flag.IntVar(&o.steps, "steps", 100, "good steps under load, at least")
	flag.IntVar(&o.backs, "backs", 12, "rollouts that are taken back")
	flag.IntVar(&o.repeat, "repeat", 2, "rollouts in which shares are counted")
	flag.DurationVar(&o.hold, "hold", 15*time.Second, "time of a step in which its share is counted")
	flag.Parse()
	if o.meshpol == "" {
		return o, fmt.Errorf("--meshpol is missing: make bench sets it")
	}
	if o.output != "text" && o.output != "json" {
		return o, fmt.Errorf("-o %s: allowed: text, json", o.output)
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	return o, nil
}
