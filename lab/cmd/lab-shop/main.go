// Command shop is a service of the sample system; it runs as the application of the shop's pods.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "serve" {
		return errors.New("usage: shop serve --name NAME [--next URL]")
	}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("name", "", "name of the service and its version")
	listen := flags.String("listen", ":8080", "address of the service")
	control := flags.String("control", "0.0.0.0:9901", "address of the control port")
	next := flags.String("next", "", "URL to call for every request")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	a, err := app.New(app.Config{Pod: os.Getenv("POD_NAME"), Version: *name, Next: *next})
	if err != nil {
		return err
	}
	defer a.Close()
	mux := http.NewServeMux()
	a.Routes(mux)
	servers := []*http.Server{{Addr: *listen, Handler: a}, {Addr: *control, Handler: mux}}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() { failed <- s.ListenAndServe() }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	a.Stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, s := range servers {
		_ = s.Shutdown(grace)
	}
	return nil
}
