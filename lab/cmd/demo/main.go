// Command demo shows meshpol on the lab: good policies going out, harmful ones being found and taken back, all under
// load, with the clients' own counts beside what meshpol says.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	name := flag.String("name", "lab", "the lab to show it on; it must be up")
	meshpol := flag.String("meshpol", "", "path of the meshpol binary")
	rps := flag.Float64("rps", 300, "requests per second of all clients together")
	only := flag.Int("only", 0, "show only this part (1 to 4)")
	flag.Parse()
	if *meshpol == "" {
		return fmt.Errorf("--meshpol is missing: make demo sets it")
	}
	d, err := newDemo(ctx, *name, *meshpol, *rps)
	if err != nil {
		return err
	}
	return d.show(ctx, *only)
}
