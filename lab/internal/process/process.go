// Package process starts the lab's programs so that none of them outlives the supervisor.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Marker is the environment variable by which a lab's processes are found again.
const Marker = "MESHPOL_LAB_NAME"

// Spawner starts processes from one thread that never ends: the kernel kills a process when the thread that
// started it ends, so this is the only way to tie processes to the supervisor and nothing shorter.
type Spawner struct {
	requests chan request
}

type request struct {
	cmd    *exec.Cmd
	result chan error
}

// NewSpawner returns a Spawner that works until ctx ends.
func NewSpawner(ctx context.Context) *Spawner {
	s := &Spawner{requests: make(chan request)}
	go s.loop(ctx)
	return s
}

func (s *Spawner) loop(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-s.requests:
			r.result <- r.cmd.Start()
		case <-ctx.Done():
			return
		}
	}
}

// Command is a program to start.
type Command struct {
	Name   string
	Path   string
	Args   []string
	Env    []string
	Dir    string
	Output *os.File
	// Files become the descriptors from 3 on.
	Files []*os.File
	// CloneFlags are namespaces that the process shall have for itself.
	CloneFlags uintptr
}

// Process is a started program.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts the program in a process group of its own.
func (s *Spawner) Start(ctx context.Context, c Command) (*Process, error) {
	cmd := &exec.Cmd{
		Path: c.Path, Args: append([]string{c.Path}, c.Args...), Env: c.Env, Dir: c.Dir,
		Stdout: c.Output, Stderr: c.Output, ExtraFiles: c.Files,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: c.CloneFlags},
	}
	r := request{cmd: cmd, result: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return nil, fmt.Errorf("starting %s: %w", c.Name, ctx.Err())
	}
	if err := <-r.result; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID is the process's number on the machine.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is the exit code and the signal (0 for none) of an ended process.
func (p *Process) Exit() (code int, signal syscall.Signal) {
	<-p.done
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return 0, 0
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), ws.Signal()
	}
	return exit.ExitCode(), 0
}

// Signal sends a signal to the process alone; one that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
}

// Stop asks the process to end, kills its group after grace, and returns when it is gone.
func (p *Process) Stop(grace time.Duration) {
	p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// Kill kills the process and its group and returns when it is gone.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	p.Signal(syscall.SIGKILL)
	<-p.done
}
