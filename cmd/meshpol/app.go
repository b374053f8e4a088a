package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/meshpol/meshpol/internal/printer"
)

// app is what every command shares: streams, global flags, and the signal that asks it to end.
type app struct {
	streams
	kube       *genericclioptions.ConfigFlags
	prometheus prometheusFlags
	output     string
	quiet      bool
	noColor    bool
	config     string
	qps        float32
	burst      int
	// interrupt is closed by the first signal; the second one ends the process's patience.
	interrupt chan struct{}
	// outcomes are what the command made of its targets so far.
	outcomes []printer.OutcomeView
}

// run is the whole program: arguments in, exit code out.
func run(ctx context.Context, args []string, s streams, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &app{streams: s.shared(), interrupt: make(chan struct{}), kube: genericclioptions.NewConfigFlags(true)}
	defer a.listen(signals, cancel)()
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := a.lost(plain(root.ExecuteContext(ctx)))
	if err != nil && !isSilent(err) {
		a.progress().Problem(err, hints(err)...)
	}
	return exitCode(err)
}

// plain says of a command that a signal ended what people call it.
func plain(err error) error {
	var code *codeError
	if errors.Is(err, context.Canceled) && !errors.As(err, &code) {
		return &codeError{code: exitAborted, err: fmt.Errorf("interrupted by a signal (%w)", err)}
	}
	return err
}

// listen closes interrupt at the first signal. Commands that only read are ended by it at once; a rollout goes back in
// order, or pauses. The third signal ends everything, since somebody really means it.
func (a *app) listen(signals <-chan os.Signal, cancel func()) func() {
	done := make(chan struct{})
	var once sync.Once
	go func() {
		for count := 1; ; count++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch count {
			case 1:
				close(a.interrupt)
			case 2:
				a.say("ending in order; a third signal ends this process where it stands")
			default:
				cancel()
			}
		}
	}()
	return func() { once.Do(func() { close(done) }) }
}

// untilSignal is the context of everything that may be broken off at any time: the first signal ends it.
func (a *app) untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.interrupt:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// say writes a line of progress that belongs to no rollout's events.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		a.warn(format, args...)
	}
}

// warn writes a line that --quiet does not leave out.
func (a *app) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, format+"\n", args...) // nobody is left to be told
}

func (a *app) colour(tty bool) bool {
	off, _ := a.env("NO_COLOR")
	return tty && off == "" && !a.noColor
}

// answers is the printer of standard output.
func (a *app) answers() *printer.Printer {
	return printer.New(a.out, a.format(), printer.Options{Colour: a.colour(a.outTTY), Width: a.width})
}

// format is that of the answer; configure has refused what is none.
func (a *app) format() printer.Format {
	f, _ := printer.ParseFormat(a.output)
	return f
}

// progress is the printer of standard error.
func (a *app) progress() *printer.Printer { return printer.New(a.err, a.events(), a.progressOptions()) }

// events is the format of standard error: text for people, unless events are asked for.
func (a *app) events() printer.Format {
	if a.format() == printer.JSONLines {
		return printer.JSONLines
	}
	return printer.Text
}

func (a *app) progressOptions() printer.Options {
	return printer.Options{Colour: a.colour(a.errTTY), Live: a.errTTY, Quiet: a.quiet, Width: a.width}
}
