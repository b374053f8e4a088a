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
	// A reader that goes away is seen as an error of the write; by default the signal would end a rollout half-way. It
	// is caught and not ignored, since what is ignored stays so in the programs that a kubeconfig starts.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup means that nobody wants to hear of it
		signal.Notify(signals, syscall.SIGHUP)
	}
	os.Exit(run(context.Background(), os.Args[1:], processStreams(), signals))
}

func processStreams() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv}
	s.inTTY, s.outTTY, s.errTTY = isTTY(os.Stdin), isTTY(os.Stdout), isTTY(os.Stderr)
	for _, f := range []*os.File{os.Stderr, os.Stdout} {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = width
		}
	}
	if dir, err := os.UserConfigDir(); err == nil {
		s.configDir = dir
	}
	return s
}

func isTTY(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
