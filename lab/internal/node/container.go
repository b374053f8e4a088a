package node

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cri "github.com/meshpol/meshpol/lab/internal/container"
	"github.com/meshpol/meshpol/lab/internal/process"
)

// A container that ends is started again after a pause that grows from the first to the last of these;
// one that ran for steadyAfter starts from the first again.
var backoff = []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second}

const steadyAfter = 30 * time.Second

// container runs one container of a pod.
type container struct {
	worker *worker
	spec   corev1.Container
	init   bool
	done   chan struct{}

	mu      sync.Mutex
	begun   bool
	process *process.Process
	seen    snapshot
}

// snapshot is what can be said of a container at one moment.
type snapshot struct {
	pid      int
	ready    bool
	restarts int32
	started  metav1.Time
	// waiting is why the container does not run, or empty.
	waiting, message string
	ended, last      *corev1.ContainerStateTerminated
}

func newContainer(w *worker, spec corev1.Container, init bool) *container {
	return &container{worker: w, spec: spec, init: init, done: make(chan struct{}),
		seen: snapshot{waiting: "ContainerCreating"}}
}

func (c *container) snapshot() snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func (c *container) change(f func(*snapshot)) {
	c.mu.Lock()
	f(&c.seen)
	c.mu.Unlock()
	c.worker.notify()
}

// start keeps the container running until ctx ends.
func (c *container) start(ctx context.Context) {
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	go func() {
		defer close(c.done)
		c.loop(ctx)
	}()
}

func (c *container) loop(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		p, ok := c.launchPatiently(ctx)
		if !ok {
			return
		}
		begun := time.Now()
		if !c.attend(ctx, p) {
			return
		}
		if time.Since(begun) > steadyAfter {
			attempt = 0
		}
		if !sleep(ctx, backoff[min(attempt, len(backoff)-1)]) {
			return
		}
	}
}

// launchPatiently tries until the container has started; what it needs may not be there yet.
func (c *container) launchPatiently(ctx context.Context) (*process.Process, bool) {
	for {
		p, err := c.launch(ctx)
		if err == nil {
			return p, true
		}
		c.change(func(s *snapshot) { s.waiting, s.message = "CreateContainerError", err.Error() })
		if !sleep(ctx, retryAfter) {
			return nil, false
		}
	}
}

// attend waits for the end of the process and says whether to start another one.
func (c *container) attend(ctx context.Context, p *process.Process) bool {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	go c.probe(probing)
	select {
	case <-p.Done():
	case <-ctx.Done():
		return false // stop ends the process
	}
	code, signal := p.Exit()
	again := c.restartable(code)
	c.change(func(s *snapshot) {
		end := &corev1.ContainerStateTerminated{
			ExitCode: int32(code), Signal: int32(signal), Reason: endReason(code),
			StartedAt: s.started, FinishedAt: metav1.Now(), ContainerID: containerID(s.pid),
		}
		s.pid, s.ready = 0, false
		if !again {
			s.ended = end
			return
		}
		s.last = end
		s.restarts++
		s.waiting, s.message = "CrashLoopBackOff", fmt.Sprintf("ended with code %d, starting again", code)
	})
	return again
}

func (c *container) restartable(code int) bool {
	policy := c.worker.current().Spec.RestartPolicy
	if c.init {
		if c.sidecar() {
			return true
		}
		return code != 0 && policy != corev1.RestartPolicyNever
	}
	return policy == corev1.RestartPolicyAlways || (policy == corev1.RestartPolicyOnFailure && code != 0)
}

// sidecar says whether an init container goes on beside the others.
func (c *container) sidecar() bool {
	return c.spec.RestartPolicy != nil && *c.spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// launch starts the container's process.
func (c *container) launch(ctx context.Context) (*process.Process, error) {
	spec, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	path := c.dir() + ".json"
	if err := spec.Write(path); err != nil {
		return nil, err
	}
	output, err := c.openLog(spec.UID)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p, err := c.worker.agent.Spawner.Start(ctx, process.Command{
		Name: c.spec.Name, Path: c.worker.agent.Executable, Args: []string{cri.Command, path},
		Env: []string{process.Marker + "=" + c.worker.agent.Lab.Name}, Output: output,
		Files: []*os.File{c.worker.network.File()}, CloneFlags: cri.CloneFlags,
	})
	if err != nil {
		return nil, err
	}
	c.process = p
	c.seen.pid, c.seen.started = p.PID(), metav1.Now()
	c.seen.waiting, c.seen.message = "", ""
	c.seen.ready = c.spec.ReadinessProbe == nil
	c.worker.notify()
	return p, nil
}

// stop ends the container; its loop must have been told to end.
func (c *container) stop(grace time.Duration) {
	c.mu.Lock()
	p, begun := c.process, c.begun
	c.mu.Unlock()
	if p != nil {
		if grace > 0 {
			p.Stop(grace)
		} else {
			p.Kill()
		}
	}
	if begun {
		<-c.done
	}
}

// waitInit waits until the next container may start.
func (c *container) waitInit(ctx context.Context) bool {
	for {
		s := c.snapshot()
		if (c.sidecar() && s.ready) || (s.ended != nil && s.ended.ExitCode == 0) {
			return true
		}
		if s.ended != nil || !sleep(ctx, 50*time.Millisecond) {
			return false
		}
	}
}

func (c *container) dir() string {
	return c.worker.agent.podDir(c.worker.current()) + "/" + c.spec.Name
}

func (c *container) logPath() string {
	pod := c.worker.current()
	return c.worker.agent.Lab.Path("logs", "pods", pod.Namespace+"_"+pod.Name+"_"+c.spec.Name+".log")
}

// openLog opens the container's log for its user too, so that a program may open /dev/stdout again.
func (c *container) openLog(uid int) (*os.File, error) {
	f, err := os.OpenFile(c.logPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Chown(uid, uid); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func containerID(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf("lab://%d", pid)
}

func endReason(code int) string {
	if code == 0 {
		return "Completed"
	}
	return "Error"
}

// program is the file that stands for an image: meshpol.lab/NAME[:TAG] is the program NAME.
func program(image string) (string, error) {
	name, ok := strings.CutPrefix(image, "meshpol.lab/")
	name, _, _ = strings.Cut(name, ":")
	if !ok || name == "" || strings.ContainsAny(name, "/.") {
		return "", fmt.Errorf("image %q: this node has only meshpol.lab/NAME, where NAME is a program of the lab", image)
	}
	return name, nil
}
