package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/pkg/mesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/strategy"
)

// planRev stands in for the run's own rev while the digest is taken, so that the same plan has the same digest.
const planRev = "0000000000"

// Settings are the choices of a run that are no part of a step.
type Settings struct {
	// OnFailure is rollback or pause. OnInconclusive and OnNoData are wait, rollback, pause or promote: wait asks a
	// person once waiting has come to its end, and takes back where there is none to ask (JUDGE.md §3).
	OnFailure      string `json:"onFailure,omitempty"`
	OnInconclusive string `json:"onInconclusive,omitempty"`
	OnNoData       string `json:"onNoData,omitempty"`
	// Deadline is the time from the start, pauses included, after which a rollout that is not at its end is taken back: by
	// its runner, or where that is gone by whoever resumes it.
	Deadline time.Duration `json:"deadline"`
	// PropagationTimeout is the time in which every proxy must hold a write.
	PropagationTimeout time.Duration `json:"propagationTimeout"`
	// Tick is the length of an interval that is judged.
	Tick time.Duration `json:"tick"`
	// History is how much of the time before the judge knows.
	History time.Duration `json:"history,omitempty"`
	// NoAnalysis goes on without a metrics source: every step ends at its least time.
	NoAnalysis bool `json:"noAnalysis,omitempty"`
	// Checks are the user's own.
	Checks []metrics.Check `json:"checks,omitempty"`
	// Tripwire is empty (take back by request, pause by instance), TripwirePause or TripwireOff.
	Tripwire string `json:"tripwire,omitempty"`
}

// tick is never zero, so that a run without the setting does not spin.
func (s Settings) tick() time.Duration {
	if s.Tick <= 0 {
		return 15 * time.Second
	}
	return s.Tick
}

func (s Settings) propagation() time.Duration {
	if s.PropagationTimeout <= 0 {
		return 30 * time.Second
	}
	return s.PropagationTimeout
}

// PlannedStep is a step with what it writes.
type PlannedStep struct {
	strategy.Step
	// Stages are the writes in order; only those that change something.
	Stages []mesh.Stage
	// Labels is the label that puts pods into the cohort, by instance only.
	Labels *mesh.CohortLabel
}

// Plan is a whole rollout of one target, complete before its first write.
type Plan struct {
	Name     string
	Strategy string
	Change   policy.Change
	Steps    []PlannedStep
	// Asked are the steps before their compilation, those too that are left out for lack of traffic.
	Asked    []strategy.Step
	Settings Settings
	// Host is the host whose proxies are concerned.
	Host string
	// Base are the touched objects as they are in the cluster; Absent those that do not exist yet.
	Base   []*unstructured.Unstructured
	Absent []Ref
	// Digest is over policies, rollout, touched specs and compiled bodies; never over pods, replicas or metrics.
	Digest string
	// Notes stop nothing; AtFold are populations that get the policy only at the fold.
	Notes, AtFold []string
	// Documents are what the plan was made of, for the record.
	Documents []map[string]any
	// Back says that this plan can only go back: it was made from a record, and nothing of it was compiled.
	Back bool
}

// Compiler is the part of a mesh that planning needs.
type Compiler interface {
	Compile(s *policy.Snapshot, c policy.Change, e policy.Exposure) (mesh.Compiled, error)
}

// PlanInput is what a plan is made of.
type PlanInput struct {
	Name, Strategy string
	Snapshot       *policy.Snapshot
	Change         policy.Change
	Steps          []strategy.Step
	Settings       Settings
	Host           string
	Documents      []map[string]any
}

// NewPlan compiles every step against the snapshot. An unchanged policy gives a plan without steps. It returns the
// compiler's *policy.UnsupportedError as it is.
func NewPlan(m Compiler, in PlanInput) (*Plan, error) {
	neutral := in.Change
	neutral.Rev = planRev
	draft, err := compilePlan(m, in, neutral)
	if err != nil {
		return nil, err
	}
	digest, asked := digestOf(in, draft), in.Steps
	in.Steps = strategy.Taken(asked)
	if in.Change.Rev != "" {
		neutral = in.Change
	}
	p, err := compilePlan(m, in, neutral)
	if err != nil {
		return nil, err
	}
	p.Digest, p.Asked = digest, asked
	return p, nil
}

func compilePlan(m Compiler, in PlanInput, c policy.Change) (*Plan, error) {
	p := &Plan{Name: in.Name, Strategy: in.Strategy, Change: c, Settings: in.Settings, Host: in.Host, Documents: in.Documents}
	current := map[Ref]string{}
	for _, step := range in.Steps {
		compiled, err := m.Compile(in.Snapshot, c, step.Exposure)
		if err != nil {
			return nil, err
		}
		planned := PlannedStep{Step: step, Labels: compiled.Labels}
		for _, stage := range compiled.Stages {
			if p.take(in.Snapshot, current, stage) {
				planned.Stages = append(planned.Stages, stage)
			}
		}
		p.Steps = append(p.Steps, withoutClean(planned)...)
		p.Notes = merged(merged(p.Notes, step.Notes), compiled.Notes)
		p.AtFold = merged(p.AtFold, compiled.AtFold)
	}
	if len(p.Base)+len(p.Absent) == 0 {
		p.Steps = nil
	}
	return p, nil
}

// withoutClean puts the writes that only clean up into a step of their own behind the one that is watched.
func withoutClean(step PlannedStep) []PlannedStep {
	i := slices.IndexFunc(step.Stages, func(s mesh.Stage) bool { return s.Clean })
	if i < 0 {
		return []PlannedStep{step}
	}
	clean := PlannedStep{Step: strategy.Step{Name: "clean-up", Kind: metrics.StepClean, Exposure: step.Exposure}, Stages: step.Stages[i:]}
	step.Stages = step.Stages[:i]
	return []PlannedStep{step, clean}
}

// take notes what a stage touches and tells whether it changes anything.
func (p *Plan) take(s *policy.Snapshot, current map[Ref]string, stage mesh.Stage) bool {
	ref := RefOf(stage.Object)
	was, known := current[ref]
	if !known {
		if live := s.Object(ref.Kind, ref.Namespace, ref.Name); live != nil {
			was = SpecHash(live)
		}
	}
	now := SpecHash(stage.Object)
	if stage.Delete {
		now = ""
	}
	if was == now {
		return false
	}
	current[ref] = now
	p.touch(s, ref)
	return true
}

func (p *Plan) touch(s *policy.Snapshot, ref Ref) {
	same := func(o *unstructured.Unstructured) bool { return RefOf(o) == ref }
	if slices.ContainsFunc(p.Base, same) || slices.Contains(p.Absent, ref) {
		return
	}
	if live := s.Object(ref.Kind, ref.Namespace, ref.Name); live != nil {
		p.Base = append(p.Base, live)
		return
	}
	p.Absent = append(p.Absent, ref)
}

func merged(have, more []string) []string {
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(have, m)
		}
	}
	return have
}

// BaseOf is the touched object as it was before, or nil where it did not exist.
func (p *Plan) BaseOf(ref Ref) *unstructured.Unstructured {
	for _, o := range p.Base {
		if RefOf(o) == ref {
			return o
		}
	}
	return nil
}

// Before is the object as it should be in the cluster just before stage of step: the last earlier write of it, or its
// base; nil where it does not exist then.
func (p *Plan) Before(step, stage int, ref Ref) *unstructured.Unstructured {
	for i := min(step, len(p.Steps)-1); i >= 0; i-- {
		stages := p.Steps[i].Stages
		from := len(stages)
		if i == step {
			from = min(stage, len(stages))
		}
		for k := from - 1; k >= 0; k-- {
			if RefOf(stages[k].Object) == ref {
				if stages[k].Delete {
					return nil
				}
				return stages[k].Object
			}
		}
	}
	return p.BaseOf(ref)
}
