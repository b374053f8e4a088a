package fakemesh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// Call is one call of a port. N counts the calls of a node from 1.
type Call struct {
	N int
	// Op is the port's method in lower case, such as write, dry-run, save, prove, read.
	Op string
	// What is the object, pod or target.
	What string
}

// Fault is what happens to a call; the zero Fault is nothing.
type Fault struct {
	// Before fails the call without its effect, After fails it although the effect took place.
	Before, After error
	// KillBefore and KillAfter end the node there: its context ends and every later call fails.
	KillBefore, KillAfter bool
	// Delay is how long the call takes.
	Delay time.Duration
	// Meanwhile is what happens in the cluster just before the effect.
	Meanwhile func()
}

func (f Fault) String() string {
	switch {
	case f.KillBefore:
		return "killed before"
	case f.KillAfter:
		return "killed after"
	case f.Before != nil:
		return "fails"
	case f.After != nil:
		return "fails after it took place"
	case f.Meanwhile != nil:
		return "meanwhile somebody acts"
	case f.Delay > 0:
		return "slow"
	}
	return ""
}

// ErrKilled is what a dead node's calls return.
var ErrKilled = errors.New("the runner is dead")

// Node is one runner's way into the world: it implements every port.
type Node struct {
	World *World
	Name  string
	// Fault decides what happens to each call; nil: nothing ever does.
	Fault func(Call) Fault
	// Cancel ends the runner's context when the node is killed.
	Cancel func()

	calls int
	dead  bool
	held  map[string]int64
	seen  map[string]string
	start time.Time
}

var (
	_ rollout.Objects  = (*Node)(nil)
	_ rollout.Pods     = (*Node)(nil)
	_ rollout.Prover   = (*Node)(nil)
	_ rollout.Store    = (*Node)(nil)
	_ rollout.Archive  = (*Node)(nil)
	_ metrics.Provider = (*Node)(nil)
)

// Node is a new runner.
func (w *World) Node(name string) *Node {
	return &Node{World: w, Name: name, held: map[string]int64{}, seen: map[string]string{}, start: time.Now()}
}

// Calls is how many calls the node has made.
func (n *Node) Calls() int {
	n.World.mu.Lock()
	defer n.World.mu.Unlock()
	return n.calls
}

// locked runs an effect with the world locked, and unlocks it also where a test's own hook panics.
func (w *World) locked(effect func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return effect()
}

// do carries out one call: the effect runs with the world locked.
func (n *Node) do(ctx context.Context, op, what string, effect func() error) (err error) {
	w := n.World
	w.mu.Lock()
	n.calls++
	c := Call{N: n.calls, Op: op, What: what}
	dead := n.dead
	w.mu.Unlock()
	var f Fault
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.log = append(w.log, Entry{At: time.Now(), Node: n.Name, Call: c, Err: err, Fault: f.String(), SinceStart: time.Since(n.start)})
	}()
	if dead {
		return ErrKilled
	}
	if n.Fault != nil {
		f = n.Fault(c)
	}
	if err := wait(ctx, f.Delay); err != nil {
		return err
	}
	if f.Meanwhile != nil {
		f.Meanwhile()
	}
	switch {
	case f.KillBefore:
		return n.kill()
	case f.Before != nil:
		return f.Before
	}
	err = w.locked(effect)
	switch {
	case f.KillAfter:
		return n.kill()
	case f.After != nil && err == nil:
		return f.After
	}
	return err
}

func (n *Node) kill() error {
	n.World.mu.Lock()
	n.dead = true
	n.World.mu.Unlock()
	if n.Cancel != nil {
		n.Cancel()
	}
	return ErrKilled
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// live tells whether the node holds a live lease of a target now.
func (n *Node) live() bool {
	n.World.mu.Lock()
	defer n.World.mu.Unlock()
	for target, transitions := range n.held {
		l := n.World.leases[target]
		if l != nil && l.holder == n.Name && l.transitions == transitions && time.Since(l.renewed) < n.World.TTL {
			return true
		}
	}
	return false
}

// mayWrite notes a write that took place although its node held no live lease when it was sent. One that was sent in
// time and lands late is no breach: the next holder's fence makes it fail, and before the fence it meets the object as
// its sender saw it.
func (n *Node) mayWrite(what string, live bool) {
	if !live {
		n.World.broken = append(n.World.broken, fmt.Sprintf("%s wrote %s without a live lease", n.Name, what))
	}
}

// Get implements rollout.Objects.
func (n *Node) Get(ctx context.Context, ref rollout.Ref) (out *unstructured.Unstructured, err error) {
	err = n.do(ctx, "get", ref.String(), func() error {
		if o, ok := n.World.now()[ref]; ok {
			out = o.DeepCopy()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Write implements rollout.Objects.
func (n *Node) Write(ctx context.Context, op rollout.Op, o *unstructured.Unstructured, dryRun bool) (out *unstructured.Unstructured, err error) {
	name := "write"
	if dryRun {
		name = "dry-run"
	}
	ref := rollout.RefOf(o)
	live := n.live()
	err = n.do(ctx, name, string(op)+" "+ref.String(), func() (err error) {
		if out, err = n.World.write(op, through(o), dryRun); err == nil && !dryRun {
			n.mayWrite(ref.String(), live)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (w *World) write(op rollout.Op, o *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	ref := rollout.RefOf(o)
	was := w.now()[ref]
	if w.Refuse != nil {
		if err := w.Refuse(op, o); err != nil {
			return nil, &rollout.RefusedError{Ref: ref, Err: err}
		}
	}
	switch {
	case op == rollout.Create && was != nil:
		return nil, &rollout.ConflictError{Ref: ref, Err: errors.New("it exists already")}
	case op != rollout.Create && was == nil:
		return nil, &rollout.ConflictError{Ref: ref, Err: errors.New("it does not exist")}
	case op != rollout.Create && was.GetResourceVersion() != o.GetResourceVersion():
		return nil, &rollout.ConflictError{Ref: ref, Err: errors.New("the object has been modified")}
	case dryRun:
		if w.Defaults != nil {
			w.Defaults(o)
		}
		return o, nil
	case op == rollout.Delete:
		w.change(ref, nil)
		return o, nil
	}
	return w.store(o, "meshpol", was), nil
}

// GiveBack implements rollout.Objects.
func (n *Node) GiveBack(ctx context.Context, ref rollout.Ref, managed []any) error {
	live := n.live()
	return n.do(ctx, "give-back", ref.String(), func() error {
		w := n.World
		was := w.now()[ref]
		if was == nil {
			return nil
		}
		n.mayWrite(ref.String(), live)
		o := was.DeepCopy()
		giveBack(o, managed)
		w.version++
		o.SetResourceVersion(fmt.Sprint(w.version))
		w.change(ref, o)
		return nil
	})
}

// Pods implements rollout.Pods.
func (n *Node) Pods(ctx context.Context, namespace string) (out []policy.Pod, err error) {
	err = n.do(ctx, "pods", namespace, func() error {
		out = n.World.podList(namespace)
		return nil
	})
	return out, err
}

// Label implements rollout.Pods.
func (n *Node) Label(ctx context.Context, namespace, name, key, value string) error {
	id, live := namespace+"/"+name, n.live()
	return n.do(ctx, "label", id+" "+key+"="+value, func() error {
		w := n.World
		p, ok := w.pods[id]
		if !ok {
			return nil
		}
		n.mayWrite("pod "+id, live)
		w.put(labelled(p, key, value))
		return nil
	})
}
