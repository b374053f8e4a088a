// Command meshpol rolls out service-mesh policies: to 1 % of requests, to one pod, to everything, and back by itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(context.Background(), os.Args[1:], processStreams(), signals))
}

func processStreams() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv}
	s.outTTY = term.IsTerminal(int(os.Stdout.Fd()))
	s.errTTY = term.IsTerminal(int(os.Stderr.Fd()))
	s.inTTY = term.IsTerminal(int(os.Stdin.Fd()))
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		s.width = width
	}
	return s
}
