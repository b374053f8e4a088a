package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// live is a source that knows only what it has read itself, as one does that asks the proxies.
type live struct{ metrics.Provider }

func (*live) Live() bool { return true }

func (l *live) Read(ctx context.Context, q metrics.Query, now time.Time, _ time.Duration) ([]metrics.Series, error) {
	series, err := l.Provider.Read(ctx, q, now, time.Hour)
	for i := range series {
		last := series[i].Samples[len(series[i].Samples)-1]
		series[i].Samples = []metrics.Sample{{At: now, Value: last.Value}}
	}
	return series, err
}

// What a live source counted between two runs is not known, and the counters' whole past is not taken for it.
func TestLiveSourceLosesTheTimeBetweenTwoRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := prepare(t, spec{})
		var ticks []metrics.Tick
		b.judge = fakemesh.Judge{Say: func(_ metrics.JudgeStep, tick metrics.Tick) metrics.Judgement {
			ticks = append(ticks, tick)
			return metrics.Judgement{}
		}}
		b.tweak = func(x *rollout.Executor) {
			x.Meter, x.OnSignal = &live{x.Meter}, rollout.OnSignalPause
		}
		one := b.runner("one")
		go func() {
			time.Sleep(75 * time.Second)
			close(one.interrupt)
		}()
		got, err := one.start()
		endedAs(t, got, err, rollout.Paused, rollout.CausePerson)
		time.Sleep(10 * time.Minute)
		ticks = nil
		got, err = b.runner("two").resume(rollout.RequestResume)
		endedAs(t, got, err, rollout.Succeeded, "")
		first, second := ticks[0], ticks[1]
		total := func(t metrics.Tick) float64 { return t.Total(metrics.New).Plus(t.Total(metrics.Old)).Requests }
		if total(first) != 0 || !first.From.Equal(first.To) {
			t.Errorf("the first reading of the second run counted %v requests from %s to %s", total(first), first.From, first.To)
		}
		if n := total(second); n <= 0 || n > 151*second.To.Sub(second.From).Seconds() {
			t.Errorf("the second counted %v in %s", n, second.To.Sub(second.From))
		}
		said := false
		for _, w := range fakemesh.Of[rollout.Warned](b.sink) {
			said = said || strings.Contains(w.Text, "is lost")
		}
		if !said {
			t.Error("that counts are lost was not said")
		}
	})
}
