// Package supervisor is the process behind a running lab: it makes the lab's network, starts and keeps the
// control plane, is the node agent, and lets the machine in through a unix socket and two ports on 127.0.0.1.
// When it ends, however it ends, the kernel ends everything that it started.
package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/kube"
	"github.com/meshpol/meshpol/lab/internal/manifest"
	"github.com/meshpol/meshpol/lab/internal/netns"
	"github.com/meshpol/meshpol/lab/internal/node"
	"github.com/meshpol/meshpol/lab/internal/process"
	"github.com/meshpol/meshpol/lab/internal/state"
)

// Ranges of addresses that belong to the lab's control-plane namespace itself.
const (
	serviceRange = "10.96.0.0/16"
	// swarmRange is for programs that play many pods from one process.
	swarmRange = "10.245.0.0/16"
)

// Supervisor runs one lab.
type Supervisor struct {
	lab        state.Lab
	settings   Settings
	executable string
	log        *slog.Logger
	spawner    *process.Spawner
	network    *netns.Namespace
	client     *kube.Client
	steps      steps
	// life ends with the lab, by end.
	life context.Context
	end  context.CancelFunc

	mu         sync.Mutex
	agent      *node.Agent
	parts      []*part
	prometheus *deployment
}

// Run starts the lab in its prepared directory and serves it until ctx ends or it is told to shut down.
func Run(ctx context.Context, lab state.Lab, log *slog.Logger) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	settings, err := readSettings(lab)
	if err != nil {
		return err
	}
	life, end := context.WithCancel(ctx)
	defer end()
	s := &Supervisor{
		lab: lab, settings: settings, executable: executable, log: log, life: life, end: end,
		spawner: process.NewSpawner(context.WithoutCancel(ctx)),
	}
	control, err := new(net.ListenConfig).Listen(ctx, "unix", lab.Socket())
	if err != nil {
		return fmt.Errorf("listening for commands: %w", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.serveControl(life, control) })
	if err := s.start(life, &serving); err != nil && life.Err() == nil {
		log.Error("starting the lab", "error", err)
		s.steps.fail(err)
	}
	<-life.Done()
	serving.Wait()
	for _, p := range s.parts {
		_ = p.stop(life) // it has no error
	}
	return nil
}

// start brings everything up, in the order in which one thing needs another.
func (s *Supervisor) start(ctx context.Context, serving *sync.WaitGroup) error {
	creds, err := writeFiles(s.lab, s.settings, time.Now())
	if err != nil {
		return fmt.Errorf("writing the lab's files: %w", err)
	}
	if err := s.makeNetwork(); err != nil {
		return err
	}
	if err := s.connect(creds); err != nil {
		return err
	}
	for _, p := range s.parts[:2] { // etcd, API server: nothing else works without them
		if err := s.steps.do(p.name, func() error { return p.start(ctx, s.life) }); err != nil {
			return err
		}
	}
	if err := s.forwardPorts(ctx); err != nil {
		return err
	}
	if err := s.steps.do("istio's resources", func() error { return s.applyBase(ctx) }); err != nil {
		return err
	}
	serving.Go(func() {
		if err := s.agent.Run(ctx); err != nil && ctx.Err() == nil {
			s.steps.fail(err)
		}
	})
	controllers := s.parts[2]
	if err := s.steps.do(controllers.name, func() error { return controllers.start(ctx, s.life) }); err != nil {
		return err
	}
	return s.startPods(ctx)
}

func (s *Supervisor) makeNetwork() error {
	network, err := netns.New()
	if err != nil {
		return err
	}
	s.network = network
	if err := network.AddBridge(node.Bridge, node.Address+"/16"); err != nil {
		return err
	}
	for _, r := range []string{serviceRange, swarmRange} {
		if err := network.AddLocalRoute(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Supervisor) connect(creds credentials) error {
	client, err := kube.New(kube.Options{
		Host: fmt.Sprintf("https://%s:%d", node.Address, node.APIPort), Token: creds.token, CAData: creds.ca, Dial: s.dialInside,
	})
	if err != nil {
		return err
	}
	s.client = client
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agent = node.New(node.Config{
		Lab: s.lab, Network: s.network, Client: client, Spawner: s.spawner, Log: s.log, CA: creds.ca, Executable: s.executable,
	})
	s.prometheus = &deployment{supervisor: s, namespace: "istio-system", name: "prometheus"}
	s.parts = s.planeParts()
	return nil
}

// applyBase writes Istio's CRDs and everything that pods need.
func (s *Supervisor) applyBase(ctx context.Context) error {
	crds, err := os.ReadFile(s.lab.Path("share", "istio-crds.yaml"))
	if err != nil {
		return err
	}
	base, err := manifest.Base()
	if err != nil {
		return err
	}
	prometheus, err := manifest.Prometheus()
	if err != nil {
		return err
	}
	if err := s.client.RegisterNode(ctx, node.Object()); err != nil {
		return err
	}
	for _, documents := range [][]byte{crds, base, prometheus} {
		if err := s.client.Apply(ctx, documents); err != nil {
			return err
		}
	}
	return nil
}

// startPods waits for istiod, starts the sample system, and waits for all of it.
func (s *Supervisor) startPods(ctx context.Context) error {
	istiod := &deployment{supervisor: s, namespace: "istio-system", name: "istiod"}
	if err := s.steps.do("istiod", func() error { return istiod.await(ctx, 1) }); err != nil {
		return err
	}
	documents := []func() ([]byte, error){manifest.Telemetry}
	if s.settings.Shop {
		documents = append(documents, manifest.Shop)
	}
	for _, render := range documents {
		text, err := render()
		if err != nil {
			return err
		}
		if err := s.client.Apply(ctx, text); err != nil {
			return err
		}
	}
	if err := s.steps.do("prometheus", func() error { return s.prometheus.await(ctx, 1) }); err != nil {
		return err
	}
	if s.settings.Shop {
		if err := s.steps.do("shop", func() error { return s.awaitShop(ctx) }); err != nil {
			return err
		}
	}
	s.steps.finish()
	return nil
}

func (s *Supervisor) awaitShop(ctx context.Context) error {
	for _, w := range manifest.Workloads() {
		d := &deployment{supervisor: s, namespace: "shop", name: w.Name}
		if err := d.await(ctx, 2); err != nil {
			return err
		}
	}
	return nil
}
