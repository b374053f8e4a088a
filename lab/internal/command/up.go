package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/meshpol/meshpol/lab/internal/build"
	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/intercept"
	"github.com/meshpol/meshpol/lab/internal/netns"
	"github.com/meshpol/meshpol/lab/internal/process"
	"github.com/meshpol/meshpol/lab/internal/state"
	"github.com/meshpol/meshpol/lab/internal/supervisor"
)

// upPatience is how long a start may take once everything is built.
const upPatience = 5 * time.Minute

// upOptions are the flags of `lab up`.
type upOptions struct {
	settings  supervisor.Settings
	buildOnly bool
}

func (a *app) newUp() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use: "up", Short: "Build what is missing, start the lab and wait until it is ready", Args: cobra.NoArgs,
		Long: `Start the lab and wait until everything in it is ready. A lab that runs already is left as it is.
The first time, its programs are built into the user's cache directory: about 15 minutes from nothing on two cores.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.DurationVar(&o.settings.ScrapeInterval, "scrape-interval", 5*time.Second, "how often Prometheus reads the proxies")
	f.BoolVar(&o.settings.Shop, "shop", true, "start the sample system")
	f.IntVar(&o.settings.Ports.API, "api-port", 0, "port of the API server on 127.0.0.1 (default: fixed by the lab's name)")
	f.IntVar(&o.settings.Ports.Prometheus, "prometheus-port", 0, "port of Prometheus on 127.0.0.1 (default: fixed by the lab's name)")
	f.BoolVar(&o.buildOnly, "build-only", false, "build what is missing and start nothing")
	return cmd
}

func (a *app) up(ctx context.Context, o upOptions) error {
	lab, err := a.lab()
	if err != nil {
		return err
	}
	begun := time.Now()
	if !o.buildOnly {
		if err := checkMachine(); err != nil {
			return err
		}
		release, err := a.takeTurn(ctx)
		if err != nil {
			return err
		}
		defer release()
		control := conn.NewControl(lab)
		if s, err := control.Status(ctx); err == nil && s.Error == "" {
			return a.follow(ctx, control, begun)
		}
	}
	artifacts, err := a.build(ctx)
	if err != nil || o.buildOnly {
		return err
	}
	if err := clean(lab); err != nil {
		return err
	}
	if o.settings.Ports, err = choosePorts(ctx, lab, o.settings.Ports); err != nil {
		return err
	}
	begun = time.Now()
	if err := prepare(lab, artifacts, o.settings); err != nil {
		return fmt.Errorf("preparing the lab's directory: %w", err)
	}
	if err := startSupervisor(lab); err != nil {
		return err
	}
	return a.follow(ctx, conn.NewControl(lab), begun)
}

func (a *app) build(ctx context.Context) (build.Artifacts, error) {
	source, err := build.Source()
	if err != nil {
		return build.Artifacts{}, err
	}
	b, err := build.New(source, a.err)
	if err != nil {
		return build.Artifacts{}, err
	}
	return b.All(ctx)
}

// checkMachine says what the machine lacks.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root: it makes network namespaces")
	}
	n, err := netns.New()
	if err != nil {
		return err
	}
	defer n.Close()
	if err := intercept.Install(n.FD(), nil); err != nil {
		return err
	}
	return n.AddBridge("probe", "10.244.0.1/16")
}

// choosePorts completes the wanted ports and makes sure that they are free.
func choosePorts(ctx context.Context, lab state.Lab, want state.Ports) (state.Ports, error) {
	own := lab.Ports()
	if want.API == 0 {
		want.API = own.API
	}
	if want.Prometheus == 0 {
		want.Prometheus = own.Prometheus
	}
	for flag, port := range map[string]int{"--api-port": want.API, "--prometheus-port": want.Prometheus} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return want, fmt.Errorf("port 127.0.0.1:%d is taken; choose another one with %s", port, flag)
		}
		l.Close()
	}
	return want, nil
}

// clean removes whatever an earlier lab of that name has left.
func clean(lab state.Lab) error {
	if err := process.KillAll(lab.Name, 10*time.Second); err != nil {
		return err
	}
	if err := os.RemoveAll(lab.Dir); err != nil {
		return fmt.Errorf("removing the lab's directory: %w", err)
	}
	return nil
}

// prepare fills the lab's directory with its programs.
func prepare(lab state.Lab, a build.Artifacts, settings supervisor.Settings) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	programs := map[string]string{"lab": self}
	for name, from := range a.Programs {
		programs[name] = from
	}
	for dir, files := range map[string]map[string]string{"bin": programs, "share": a.Share} {
		if err := os.MkdirAll(lab.Path(dir), 0o755); err != nil {
			return err
		}
		for name, from := range files {
			if err := build.Place(lab.Path(dir, name), from); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(lab.Path("logs"), 0o755); err != nil {
		return err
	}
	return settings.Write(lab)
}

// startSupervisor starts the process behind the lab, which outlives this one.
func startSupervisor(lab state.Lab) error {
	log, err := os.OpenFile(lab.Log("supervisor"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(lab.Path("bin", "lab"), superviseCommand, "--name", lab.Name)
	cmd.Dir = filepath.Dir(lab.Dir)
	cmd.Env = append(os.Environ(), process.Marker+"="+lab.Name)
	cmd.Stdout, cmd.Stderr = log, log
	// Files that this process inherited are not the lab's: under flock(1) one of them is the lock, which the lab would
	// hold as long as it runs. A kernel that cannot do this leaves things as they were.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the lab's supervisor: %w", err)
	}
	return cmd.Process.Release()
}

// follow prints each part as it becomes ready, until all are.
func (a *app) follow(ctx context.Context, control *conn.Control, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	printed := 0
	for silent := 0; ; {
		s, err := control.Status(ctx)
		if err != nil {
			if silent++; silent > 50 {
				return fmt.Errorf("the lab's supervisor does not answer (see: lab logs supervisor): %w", err)
			}
		} else {
			silent = 0
			for printed < len(s.Parts) && s.Parts[printed].ReadyIn > 0 {
				fmt.Fprintf(a.err, "%-18s ready in %s\n", s.Parts[printed].Name, seconds(s.Parts[printed].ReadyIn))
				printed++
			}
			if s.Error != "" {
				return errors.New(s.Error)
			}
			if s.Ready {
				a.welcome(s, time.Since(begun))
				return nil
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for lab %q (see: lab status): %w", a.name, ctx.Err())
		}
	}
}

func (a *app) welcome(s conn.Status, took time.Duration) {
	fmt.Fprintf(a.out, "lab %q is ready after %s\n  kubeconfig  %s\n  API server  %s\n  Prometheus  %s\n",
		s.Name, seconds(took), s.Kubeconfig, s.API, s.Prometheus)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
