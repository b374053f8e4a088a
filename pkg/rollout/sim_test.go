package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// The simulation runs whole rollouts in a world where everything fails that can: calls, runners, proxies, metrics, and
// people who edit, ask and pull cables. What happens is a function of the seed alone, so that a failing seed can be
// replayed: MESHPOL_SIM_SEED=17 go test -run TestSimulation ./pkg/rollout. MESHPOL_SIM_SEEDS sets how many are run.

// faultsEnd is when the world calms down; from then on every rollout must come to its end.
const (
	faultsEnd = 40 * time.Minute
	simEnd    = 6 * time.Hour
)

// scene is a rollout that is simulated.
type scene struct {
	name string
	spec spec
	// editable are objects whose spec people edit.
	editable bool
	// ended checks the objects after a success or a way back.
	ended func(b *bench, phase rollout.Phase)
}

func scenes() []scene {
	shares := &fakemesh.Shares{}
	service := cartObjects[:strings.Index(cartObjects, "---")]
	return []scene{
		{name: "timeout by request", spec: spec{shares: shares}, editable: true, ended: func(b *bench, phase rollout.Phase) {
			b.t.Helper()
			b.specIs(vsRef(), pick(phase, cartFolded, cartRoutesAsBefore))
		}},
		{name: "breaker by instance", spec: spec{shares: shares, objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()}, editable: true,
			ended: func(b *bench, phase rollout.Phase) {
				b.t.Helper()
				b.specIs(vsRef(), cartRoutesAsBefore)
				b.specIs(drRef(), pick(phase, cartRuleFolded, "{host: cart, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}"))
			}},
		{name: "created objects", spec: spec{shares: shares, objects: service, policy: cartBreaker, rollout: byInstance, pods: clients()},
			ended: func(b *bench, phase rollout.Phase) {
				b.t.Helper()
				if b.world.Get(vsRef()) != nil || (b.world.Get(drRef()) != nil) != (phase == rollout.Succeeded) {
					b.t.Errorf("after %s: VirtualService %v, DestinationRule %v", phase, b.world.Get(vsRef()) != nil, b.world.Get(drRef()) != nil)
				}
			}},
	}
}

func pick(phase rollout.Phase, succeeded, back string) string {
	if phase == rollout.Succeeded {
		return succeeded
	}
	return back
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func TestSimulation(t *testing.T) {
	first, count := 0, number("MESHPOL_SIM_SEEDS", 500)
	if seed := number("MESHPOL_SIM_SEED", -1); seed >= 0 {
		first, count = seed, 1
	}
	all := scenes()
	ends, trips := map[string]int{}, 0
	for seed := first; seed < first+count; seed++ {
		bubble(t, func(t *testing.T) {
			s := newSimulation(t, uint64(seed), all[seed%len(all)])
			s.run()
			ends[string(s.end)]++
			for _, r := range s.runners {
				trips += len(fakemesh.Of[rollout.Tripped](r.sink))
			}
			if t.Failed() {
				t.Logf("seed %d (%s): replay with MESHPOL_SIM_SEED=%d go test -run TestSimulation ./pkg/rollout", seed, s.scene.name, seed)
				s.trace()
				t.FailNow()
			}
		})
	}
	t.Logf("%d seeds ended as %v, the tripwire tripped %d times", count, ends, trips)
	if count >= 100 && (ends["Succeeded"] < count/20 || ends["RolledBack"] < count/20) {
		t.Errorf("the simulation is lopsided: %v", ends)
	}
}

// simulation is one seed.
type simulation struct {
	*bench
	seed  uint64
	scene scene
	harm  float64
	rng   *rand.Rand
	end   rollout.Phase

	mu      sync.Mutex
	runners []*runner
	running int
	crashes int
	counts  map[string]uint64
	// hosts and notes are what people wrote into objects: none of it may be lost.
	hosts, notes []string
}

func newSimulation(t *testing.T, seed uint64, sc scene) *simulation {
	t.Helper()
	s := &simulation{bench: prepare(t, sc.spec), seed: seed, scene: sc, rng: rand.New(rand.NewPCG(seed, 1)), counts: map[string]uint64{}}
	harm := []float64{0.001, 0.001, 0.001, 0.5, 1}[s.rng.IntN(5)]
	s.harm = harm
	s.world.Traffic = fakemesh.Traffic{RPS: 20, Fails: func(r fakemesh.Route) float64 {
		if newPolicy(r) || (sc.spec.policy == cartBreaker && newPool(r)) {
			return harm
		}
		return 0.001
	}}
	s.tweak = func(x *rollout.Executor) {
		x.OnSignal = []string{"rollback", rollout.OnSignalPause}[seed/3%2]
		x.Attended = seed/7%2 == 0
		// Its readings are due with other calls; that they take some time keeps the order of all calls the seed's own.
		x.Proxies, x.Tripwire = fakemesh.Direct{Node: x.Meter.(*fakemesh.Node), Takes: 37 * time.Millisecond}, metrics.DefaultTripwireConfig(0)
	}
	return s
}

// chance draws once for every call: it depends on the seed, the runner, the operation and how often that was called,
// and on nothing that goroutines could reorder.
func (s *simulation) chance(node, op string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := node + " " + op
	s.counts[key]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", s.seed, key, s.counts[key])
	return rand.New(rand.NewPCG(h.Sum64(), s.seed)).Float64()
}

var errServer = errors.New("500 the server has an internal error")

// fault is what happens to a call of a node.
func (s *simulation) fault(r *runner, began time.Time) func(fakemesh.Call) fakemesh.Fault {
	return func(c fakemesh.Call) fakemesh.Fault {
		p := s.chance(r.node.Name, c.Op)
		if time.Since(began) > faultsEnd {
			return fakemesh.Fault{}
		}
		switch {
		case p < 0.02:
			return fakemesh.Fault{Before: errServer}
		case p < 0.03:
			return fakemesh.Fault{After: errors.New("timeout: the answer never came")}
		case p < 0.04 && c.Op == "write":
			return fakemesh.Fault{Before: &rollout.ConflictError{Ref: vsRef(), Err: errors.New("409 conflict")}}
		case p < 0.05 && c.Op == "write":
			return fakemesh.Fault{Meanwhile: func() { time.Sleep(50 * time.Second) }}
		case p < 0.06:
			return fakemesh.Fault{Delay: time.Duration(p*1000) * time.Second / 10}
		case p < 0.065 && s.mayCrash():
			return fakemesh.Fault{KillBefore: p < 0.0625, KillAfter: p >= 0.0625}
		}
		return fakemesh.Fault{}
	}
}

func (s *simulation) mayCrash() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crashes++
	return s.crashes <= 3
}

// run plays the seed to its end.
func (s *simulation) run() {
	s.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	s.launch(began, func(r *runner) error { _, err := r.start(); return err })
	var people sync.WaitGroup
	people.Go(func() { s.people(ctx) })
	for time.Since(began) < simEnd {
		time.Sleep(7 * time.Second)
		if s.look(began) {
			break
		}
	}
	cancel()
	people.Wait()
	time.Sleep(s.world.TTL) // a lock whose giving up failed ends by itself
	s.check()
}

// launch starts a runner beside whatever runs already.
func (s *simulation) launch(began time.Time, do func(*runner) error) {
	s.mu.Lock()
	r := s.runner(fmt.Sprintf("runner-%d", len(s.runners)+1))
	r.sink = &fakemesh.Recorder{}
	s.runners = append(s.runners, r)
	s.running++
	s.mu.Unlock()
	r.node.Fault = s.fault(r, began)
	go func() {
		err := do(r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
		_ = err // whatever it was, somebody looks after the rollout
	}()
}

// look does what a watchful person does: begin, resume, or take back what nobody holds. It tells when all is over.
func (s *simulation) look(began time.Time) bool {
	state, holder, err := s.world.Stored(s.change.Target)
	if err != nil {
		s.t.Errorf("the state cannot be decoded: %v", err)
		return true
	}
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	free := holder == "" || s.world.Free(s.change.Target)
	switch {
	case state.Phase != "" && state.Phase.Ended():
		s.end = state.Phase
		return running == 0
	case !free || running > 1 || (running > 0 && holder == ""):
		return false
	case state.Phase == "":
		s.launch(began, func(r *runner) error { _, err := r.start(); return err })
	default:
		request := ""
		if state.Phase == rollout.Paused {
			request = rollout.RequestResume
			if strings.HasPrefix(state.Reason, "harm found") || state.Cause == rollout.CauseInconclusive {
				request = rollout.RequestAbort
			}
		}
		s.launch(began, func(r *runner) error { _, err := r.resume(request); return err })
	}
	return false
}

// people edit, ask, interrupt, and move pods.
func (s *simulation) people(ctx context.Context) {
	for {
		wait := time.Duration(20+s.rng.IntN(100))*time.Second + time.Duration(1+s.rng.IntN(998))*time.Millisecond
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		switch p := s.rng.IntN(40); {
		case p < 8:
			s.annotate()
		case p == 8 && s.scene.editable:
			s.editSpec()
		case p < 11:
			s.world.Ask(s.change.Target, []string{rollout.RequestAbort, rollout.RequestPause, rollout.RequestResume, rollout.RequestPromote}[s.rng.IntN(4)])
		case p == 11:
			s.interruptOne()
		case p < 16:
			s.movePods()
		case p < 19:
			s.freezeOne()
		}
	}
}

func (s *simulation) annotate() {
	if s.world.Get(vsRef()) == nil || !s.scene.editable {
		return
	}
	note := fmt.Sprintf("note-%d", len(s.notes))
	s.notes = append(s.notes, note)
	s.world.Edit(vsRef(), "person", annotate(note, "yes"))
}

func (s *simulation) editSpec() {
	host := fmt.Sprintf("host-%d.example.com", len(s.hosts))
	s.hosts = append(s.hosts, host)
	s.world.Edit(vsRef(), "person", func(o *unstructured.Unstructured) {
		hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
		must(s.t, unstructured.SetNestedStringSlice(o.Object, append(hosts, host), "spec", "hosts"))
	})
}

func (s *simulation) interruptOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runners[len(s.runners)-1]
	select {
	case <-r.interrupt:
	default:
		close(r.interrupt)
	}
}

func (s *simulation) movePods() {
	pods := s.world.Snapshot().Pods
	if len(pods) > 2 && s.rng.IntN(2) == 0 {
		s.world.RemovePod(pods[s.rng.IntN(len(pods))].ID())
		return
	}
	s.world.SetPod(fakemesh.Pod("shop", "front", fmt.Sprintf("front-%d", 10+s.rng.IntN(90))))
}

func (s *simulation) freezeOne() {
	pods := s.world.Snapshot().Pods
	id := pods[s.rng.IntN(len(pods))].ID()
	s.world.Freeze(id)
	length := time.Duration(1+s.rng.IntN(60)) * time.Second
	time.AfterFunc(length, func() { s.world.Thaw(id) })
}

// check is what must be so in the end.
func (s *simulation) check() {
	s.t.Helper()
	if s.end == "" {
		state, holder, _ := s.world.Stored(s.change.Target)
		s.t.Errorf("no end after %s: %s (%s), step %d, held by %q", simEnd, state.Phase, state.Reason, state.Step, holder)
		return
	}
	s.nothingLost()
	s.clean()
	s.scene.ended(s.bench, s.end)
	for _, r := range s.runners {
		s.onlyAfterPasses(r)
		if trips := fakemesh.Of[rollout.Tripped](r.sink); len(trips) > 0 && s.harm < 0.1 {
			s.t.Errorf("%s tripped though nothing is broken: %+v", r.node.Name, trips[0])
		}
	}
}

// nothingLost takes people's edits out of the objects again and misses those that are not there.
func (s *simulation) nothingLost() {
	s.t.Helper()
	if !s.scene.editable {
		return
	}
	s.world.Edit(vsRef(), "person", func(o *unstructured.Unstructured) {
		hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
		for _, h := range s.hosts {
			if !slices.Contains(hosts, h) {
				s.t.Errorf("somebody's host %s is lost: %v", h, hosts)
			}
		}
		hosts = slices.DeleteFunc(hosts, func(h string) bool { return slices.Contains(s.hosts, h) })
		must(s.t, unstructured.SetNestedStringSlice(o.Object, hosts, "spec", "hosts"))
		for _, n := range s.notes {
			if o.GetAnnotations()[n] != "yes" {
				s.t.Errorf("somebody's annotation %s is lost", n)
			}
		}
	})
}

// onlyAfterPasses checks that no step of a runner ended without a Pass of just before, or a person's word.
func (s *simulation) onlyAfterPasses(r *runner) {
	s.t.Helper()
	var last rollout.Judged
	for _, e := range r.sink.Events() {
		switch e := e.(type) {
		case rollout.Judged:
			last = e
		case rollout.StepPassed:
			promoted := e.Judgement.Reason == "promoted by a person" || e.Judgement.Reason == "cleaned up"
			fresh := last.Step == e.Step && last.Judgement.Verdict == metrics.Pass && e.At.Sub(last.At) <= s.setting.Tick
			if !promoted && !fresh {
				s.t.Errorf("%s ended %s without a fresh Pass: %+v", r.node.Name, e.Step, e.Judgement)
			}
		}
	}
}
