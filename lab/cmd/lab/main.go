// Command lab runs a real Istio mesh on one Linux machine, without containers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/meshpol/meshpol/lab/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command.New(os.Stdout, os.Stderr).ExecuteContext(ctx)
	if err == nil {
		return
	}
	code := 1
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	os.Exit(code)
}
