package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// lookAtPods gathers the candidates of the cohort, and who is in it already. What counts is the label on the live pod:
// a pod that was replaced under the same name does not bear it.
func (r *run) lookAtPods(ctx context.Context) error {
	r.facts.Candidates, r.facts.Cohort, r.facts.Labelled = nil, nil, nil
	if r.state.Phase == RollingBack || r.state.Step >= len(r.plan.Steps) || r.plan.Steps[r.state.Step].Exposure.By != policy.ByInstance {
		return nil
	}
	pods, err := r.callerPods(ctx)
	if err != nil {
		return fmt.Errorf("listing the client pods of %s: %w", r.plan.Change.Target, err)
	}
	label := r.plan.Steps[r.state.Step].Labels
	in := map[string]bool{}
	for _, p := range pods {
		if label != nil && p.Labels[label.Key] == label.Value && !p.Terminating {
			in[p.ID()] = true
		}
	}
	r.facts.Candidates = candidates(pods, r.state.Callers, in)
	for _, id := range r.facts.Candidates {
		switch {
		case in[id] && r.proved[id]:
			r.facts.Cohort = append(r.facts.Cohort, id)
		case in[id]:
			r.facts.Labelled = append(r.facts.Labelled, id)
		}
	}
	return nil
}

// callerPods lists the pods of the namespaces that callers live in.
func (r *run) callerPods(ctx context.Context) ([]policy.Pod, error) {
	var namespaces []string
	for _, c := range r.state.Callers {
		ns, _ := splitID(c)
		namespaces = append(namespaces, ns)
	}
	slices.Sort(namespaces)
	var out []policy.Pod
	for _, ns := range slices.Compact(namespaces) {
		pods, err := r.Executor.Pods.Pods(ctx, ns)
		if err != nil {
			return nil, err
		}
		out = append(out, pods...)
	}
	return out, nil
}

func splitID(id string) (namespace, name string) {
	namespace, name, ok := strings.Cut(id, "/")
	if !ok {
		return "", id
	}
	return namespace, name
}

// candidates are the live pods of the callers' workloads, dealt round-robin over the workloads, so that a small cohort
// is not all of one workload. A pod that is in the cohort stays in it while it is not ready: it would be replaced, and
// a policy that makes pods unready would wander through all of them.
func candidates(pods []policy.Pod, callers []string, in map[string]bool) []string {
	workloads := map[string]bool{}
	for _, p := range pods {
		if slices.Contains(callers, p.ID()) || slices.Contains(callers, workloadOf(p)) {
			workloads[workloadOf(p)] = true
		}
	}
	byWorkload := map[string][]string{}
	for _, p := range pods {
		w := workloadOf(p)
		if workloads[w] && p.Proxy && !p.Terminating && (p.Ready || in[p.ID()]) {
			byWorkload[w] = append(byWorkload[w], p.ID())
		}
	}
	return dealt(byWorkload)
}

func workloadOf(p policy.Pod) string { return p.Namespace + "/" + p.Workload }

func dealt(groups map[string][]string) []string {
	var names []string
	longest := 0
	for name, ids := range groups {
		slices.Sort(ids)
		names = append(names, name)
		longest = max(longest, len(ids))
	}
	slices.Sort(names)
	var out []string
	for i := range longest {
		for _, n := range names {
			if i < len(groups[n]) {
				out = append(out, groups[n][i])
			}
		}
	}
	return out
}

// label puts pods into the cohort and waits until their proxies are in it. Pods that vanish meanwhile are no stragglers:
// the next look at the pods finds others.
func (r *run) label(ctx context.Context, pods []string) error {
	r.announce()
	label := r.plan.Steps[r.state.Step].Labels
	r.state.Instances = merged(append(slices.Clone(r.facts.Cohort), r.facts.Labelled...), pods)
	if err := r.save(ctx); err != nil {
		return err
	}
	for _, pod := range pods {
		delete(r.proved, pod) // it may be a new pod under an old name
		if slices.Contains(r.facts.Labelled, pod) {
			continue
		}
		if err := r.labelOne(ctx, pod, label.Key, label.Value); err != nil {
			return fmt.Errorf("putting pod %s into the cohort: %w", pod, err)
		}
		if !r.facts.Interrupted && r.interrupted() {
			return errRequested
		}
	}
	r.emit(Labelled{Head: r.head(), Pods: pods, Added: true})
	proof, err := r.proveMarkers(ctx, ProofRequest{Markers: label.Markers, Host: r.plan.Host, Proxies: pods})
	if err != nil {
		return r.unlessGone(ctx, err)
	}
	for _, pod := range pods {
		r.proved[pod] = true
	}
	r.proof = proof
	r.emit(Proved{Head: r.head(), Proof: proof, Why: "cohort of " + r.stepName()})
	return nil
}

func (r *run) labelOne(ctx context.Context, pod, key, value string) error {
	if err := r.stillOurs(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ns, name := splitID(pod)
	return r.Executor.Pods.Label(ctx, ns, name, key, value)
}

// unlessGone forgives stragglers that do not exist any more.
func (r *run) unlessGone(ctx context.Context, err error) error {
	var late *StragglersError
	if !errors.As(err, &late) {
		return err
	}
	pods, listing := r.callerPods(ctx)
	if listing != nil {
		return listing
	}
	for _, p := range pods {
		if !p.Terminating && slices.Contains(late.Proof.Stragglers, p.ID()) {
			return err
		}
	}
	return nil
}

// unlabel takes every pod out of the cohort.
func (r *run) unlabel(ctx context.Context) error {
	if err := r.removeLabels(ctx); err != nil {
		return err
	}
	r.state.Undo = undoUnlabelled
	return r.save(ctx)
}

// removeLabels takes the target's label off every pod that bears it, whoever put it there: the key is the target's
// alone and the target is locked, so that another value is what a run left that died.
func (r *run) removeLabels(ctx context.Context) error {
	if !r.byInstance() {
		return nil
	}
	key := r.plan.Change.Target.CohortLabel()
	pods, err := r.Executor.Pods.Pods(ctx, "")
	if err != nil {
		return fmt.Errorf("listing the pods of the cohort: %w", err)
	}
	var gone []string
	for _, p := range pods {
		if _, ok := p.Labels[key]; !ok {
			continue
		}
		if err := r.labelOne(ctx, p.ID(), key, ""); err != nil {
			return fmt.Errorf("taking pod %s out of the cohort: %w", p.ID(), err)
		}
		gone = append(gone, p.ID())
	}
	if len(gone) > 0 {
		r.emit(Labelled{Head: r.head(), Pods: gone})
	}
	r.state.Instances = nil
	return nil
}

// byInstance tells whether the rollout has labelled pods; a plan that can only go back has no steps to see it by.
func (r *run) byInstance() bool {
	return len(r.state.Instances) > 0 || slices.ContainsFunc(r.plan.Steps, func(s PlannedStep) bool { return s.Labels != nil })
}

// sides says which pods are under the new policy; nil where the populations are requests. In step 0 nobody is: there
// the pods are dealt into two halves that stay as they are.
func (r *run) sides() map[string]metrics.Side {
	step := r.plan.Steps[r.state.Step]
	switch {
	case step.Exposure.By != policy.ByInstance && step.Exposure.Mode == policy.Staged && r.byInstance():
		return map[string]metrics.Side{}
	case step.Exposure.By != policy.ByInstance:
		return nil
	}
	out := map[string]metrics.Side{}
	for _, pod := range r.facts.Candidates {
		out[pod] = metrics.Old
		if step.Exposure.Mode == policy.Staged {
			out[pod] = r.half(pod)
		}
	}
	for _, pod := range slices.Concat(r.facts.Cohort, r.facts.Labelled) {
		out[pod] = metrics.New
	}
	return out
}

// half is the half of a pod in step 0: the smaller one for a pod that is new.
func (r *run) half(pod string) metrics.Side {
	if side, ok := r.halves[pod]; ok {
		return side
	}
	count := map[metrics.Side]int{}
	for _, side := range r.halves {
		count[side]++
	}
	side := metrics.New
	if count[metrics.New] > count[metrics.Old] {
		side = metrics.Old
	}
	r.halves[pod] = side
	return side
}

// noteCallers learns in step 0 which workloads call the target: their pods are the cohort's candidates by instance.
func (r *run) noteCallers(series []metrics.Series) {
	step := r.plan.Steps[r.state.Step]
	if step.Kind != metrics.StepStage || !r.byInstance() {
		return
	}
	workloads := map[string]string{}
	for _, p := range r.Snapshot.Pods {
		workloads[p.ID()] = workloadOf(p)
	}
	callers := slices.Clone(r.state.Callers)
	for _, pod := range metrics.CallersOf(series) {
		caller, known := workloads[pod]
		if !known {
			caller = pod
		}
		callers = append(callers, caller)
	}
	slices.Sort(callers)
	r.state.Callers = slices.Compact(callers)
}
