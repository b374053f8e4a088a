package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

const (
	// tripTick is the time between the beginnings of two readings of the proxies, tripPatience how long one may take.
	tripTick     = time.Second
	tripPatience = 5 * time.Second
	// tripBlind is how long no reading may be good until it is said.
	tripBlind = 10 * time.Second
	// mostBusy is how many pods are remembered for the reader to choose from.
	mostBusy = 50
)

// The words of Settings.Tripwire.
const (
	// TripwireOff leaves breakage to the judge alone.
	TripwireOff = "none"
	// TripwirePause asks a person also where the tripwire would take back.
	TripwirePause = "pause"
)

// noAnswer is what is wrong with a reading that does not end.
const noAnswer = "no answer"

// errLost is a reading of a source that answers with nothing.
var errLost = errors.New("the proxies count nothing of this rollout")

// watch is the tripwire at work beside one step, in a goroutine of its own, so that neither a slow proxy nor a dead one
// keeps the run from anything. What it shares with the run is guarded by mu; its counters begin anew with it, so that no
// interval mixes two exposures.
type watch struct {
	source   metrics.Provider
	wire     metrics.Tripwire
	step     metrics.JudgeStep
	counters metrics.Counters
	last     time.Time // end of the last good reading
	cancel   context.CancelFunc
	tripped  chan struct{}
	told     bool // of the run alone

	mu    sync.Mutex
	query metrics.Query
	state metrics.TripState
	trip  metrics.Trip
	// good is when the last good reading began, fault what was wrong with those since.
	good  time.Time
	fault string
}

// watchProxies sees to it that the tripwire watches the step where it can say anything, and tells it who is in the
// cohort now.
func (r *run) watchProxies(ctx context.Context) {
	step := r.plan.Steps[r.state.Step]
	if r.Proxies == nil || r.plan.Settings.NoAnalysis || r.plan.Settings.Tripwire == TripwireOff ||
		!r.Tripwire.Watches(step.Kind, step.Exposure.Share) {
		return
	}
	if step.Exposure.By == policy.ByInstance && len(r.facts.Cohort) < r.Tripwire.MinPods {
		return // it would be silent: nobody need be asked
	}
	q, err := r.Mesh.Query(r.Snapshot, r.plan.Change, step.Exposure, r.sides())
	if err != nil {
		return // the judge's own reading says what is wrong
	}
	// The counters are older than this watch: what a series has counted before its first reading is not of this step.
	q.FromZero = false
	q.Callers = r.busy
	if r.watching != nil {
		r.watching.ask(q)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r.watching = &watch{
		source: r.Proxies, wire: metrics.Tripwire{Config: r.Tripwire.WithBase(r.state.TripBase)}, step: JudgeStepOf(r.state, step),
		counters: metrics.NewCounters(q), cancel: cancel, tripped: make(chan struct{}), query: q, state: r.state.Trip,
		good: time.Now(), fault: noAnswer,
	}
	go r.watching.run(ctx)
}

// unwatch ends the watching of a step. A reading that is still under way is for nobody.
func (r *run) unwatch() {
	if r.watching == nil {
		return
	}
	r.watching.cancel()
	r.keepTrip()
	r.watching = nil
}

// keepTrip takes the tripwire's score into the state. The Lease is written with the judge's ticks and the renewals of
// the lock, not every second, so that a run which dies loses some seconds of readings. That is safe: which readings
// count does not depend on what they say, so that the score stays an e-process without them, and a harm that goes on
// shows itself anew.
func (r *run) keepTrip() {
	if r.watching == nil {
		return
	}
	r.watching.mu.Lock()
	defer r.watching.mu.Unlock()
	r.state.Trip = r.watching.state
}

// lookAtTrip notes what the tripwire says, and tells it once.
func (r *run) lookAtTrip() {
	r.facts.Trip = metrics.Trip{}
	w := r.watching
	if w == nil {
		return
	}
	w.mu.Lock()
	r.facts.Trip = w.trip
	good, fault := w.good, w.fault
	w.mu.Unlock()
	switch {
	case r.facts.Trip.Tripped && !w.told:
		w.told = true
		r.emit(Tripped{Head: r.head(), Step: r.stepName(), Trip: r.facts.Trip})
	case time.Since(good) >= tripBlind && !r.blindTold:
		r.blindTold = true
		r.emit(Warned{Head: r.head(), Text: fmt.Sprintf("the tripwire cannot read the proxies (%s): breakage is found by the judge alone meanwhile", fault)})
	}
}

// tripping is closed once the tripwire has tripped; nil where nobody watches.
func (r *run) tripping() <-chan struct{} {
	if r.watching == nil || r.facts.Trip.Tripped {
		return nil
	}
	return r.watching.tripped
}

// onTrip is what a trip does: by instance, where α does not hold, it never takes back (JUDGE.md §5).
func onTrip(p *Plan, t metrics.Trip) Action {
	reason := "tripwire: " + t.Reason
	if t.Pause || p.Settings.OnFailure == "pause" || p.Settings.Tripwire == TripwirePause {
		return ActPause{Cause: CauseBreach, Reason: "harm found: " + reason}
	}
	return ActTakeBack{Cause: CauseBreach, Reason: reason}
}

// noteBase keeps the old policy's error rate, which both halves of step 0 show.
func (r *run) noteBase(j metrics.Judgement) {
	if all := j.New.Plus(j.Old); r.plan.Steps[r.state.Step].Kind == metrics.StepStage && all.Requests > 0 {
		r.state.TripBase = all.Errors / all.Requests
	}
}

// noteBusy remembers which pods send most, for a reader that can only ask some.
func (r *run) noteBusy(tick metrics.Tick) {
	sent := map[string]float64{}
	for pod, sides := range tick.Pods {
		if n := sides[metrics.New].Requests + sides[metrics.Old].Requests; pod != "" && n > 0 {
			sent[pod] = n
		}
	}
	if len(sent) == 0 {
		return
	}
	r.busy = nil
	for pod := range sent {
		r.busy = append(r.busy, pod)
	}
	slices.SortFunc(r.busy, func(a, b string) int { return cmp.Or(cmp.Compare(sent[b], sent[a]), cmp.Compare(a, b)) })
	r.busy = r.busy[:min(len(r.busy), mostBusy)]
}

// ask changes whom the next reading is about. The sample stays what it was, since an increment needs two readings of a
// pod, unless its pods do not answer any more.
func (w *watch) ask(q metrics.Query) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.query.Callers) > 0 && time.Since(w.good) < tripBlind {
		q.Callers = w.query.Callers
	}
	w.query = q
}

func (w *watch) asked() metrics.Query {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.query
}

// run reads until it trips or nobody wants it any more. A reading that takes longer than a tick takes the place of the
// next one: they never overlap and never queue.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		if w.look(ctx, began) {
			return
		}
		_ = sleep(ctx, time.Until(began.Add(tripTick))) // the loop looks at ctx itself
	}
}

// look takes one reading in, the first one as the baseline, and tells whether it has tripped. After one that failed the
// next reaches back to the last good one.
func (w *watch) look(ctx context.Context, now time.Time) bool {
	q := w.asked()
	series, err := w.read(ctx, q, now)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		return w.take(metrics.Tick{From: later(w.last, now.Add(-tripTick)), To: now, Fault: err.Error()})
	}
	first := w.last.IsZero()
	if first {
		w.last = now
	}
	from := w.last
	var tick metrics.Tick
	w.counters, tick = w.counters.WithQuery(q).Step(series, from, now)
	w.last = now
	if first {
		w.mu.Lock()
		w.good, w.fault = now, noAnswer
		w.mu.Unlock()
		return false
	}
	return w.take(tick)
}

func (w *watch) read(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error) {
	ctx, cancel := context.WithTimeout(ctx, tripPatience)
	defer cancel()
	window := tripTick
	if !w.last.IsZero() {
		window += now.Sub(w.last)
	}
	series, err := w.source.Read(ctx, q, now, window)
	if err == nil && len(series) == 0 {
		err = errLost
	}
	return series, err
}

func (w *watch) take(tick metrics.Tick) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault = tick.Fault; tick.Fault == "" {
		w.good, w.fault = tick.To, noAnswer
	}
	w.state, w.trip = w.wire.Step(w.state, w.step, tick)
	if w.trip.Tripped {
		close(w.tripped)
	}
	return w.trip.Tripped
}
