package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// reader is a source made of a function.
type reader func(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error)

func (f reader) Read(ctx context.Context, q metrics.Query, now time.Time, _ time.Duration) ([]metrics.Series, error) {
	return f(ctx, q, now)
}

// happened is what a run told and when, without the warnings.
func happened(b *bench) []string {
	var out []string
	for _, e := range b.sink.Events() {
		switch e := e.(type) {
		case rollout.Judged:
			out = append(out, fmt.Sprintf("%s judged %s %s", e.At.Format("15:04:05.000"), e.Step, e.Judgement.Verdict))
		case rollout.StepPassed:
			out = append(out, fmt.Sprintf("%s passed %s", e.At.Format("15:04:05.000"), e.Step))
		case rollout.Ended:
			out = append(out, fmt.Sprintf("%s ended %s", e.At.Format("15:04:05.000"), e.Phase))
		}
	}
	for _, e := range b.world.Log() {
		if e.Call.Op == "save" {
			out = append(out, e.At.Format("15:04:05.000")+" saved")
		}
	}
	return out
}

// A reader that is slow, dead, deaf or a liar changes nothing of the rest, not by a moment.
func TestBadReadersChangeNothing(t *testing.T) {
	var want []string
	for _, c := range []struct {
		name   string
		read   func(d fakemesh.Direct) metrics.Provider
		warned bool
	}{
		{"none", func(fakemesh.Direct) metrics.Provider { return nil }, false},
		{"well", func(d fakemesh.Direct) metrics.Provider { return d }, false},
		{"fails", func(fakemesh.Direct) metrics.Provider {
			return reader(func(context.Context, metrics.Query, time.Time) ([]metrics.Series, error) {
				return nil, errors.New("403 forbidden")
			})
		}, true},
		{"says nothing", func(fakemesh.Direct) metrics.Provider {
			return reader(func(context.Context, metrics.Query, time.Time) ([]metrics.Series, error) { return nil, nil })
		}, true},
		{"slow", func(d fakemesh.Direct) metrics.Provider {
			d.Takes = 3500 * time.Millisecond
			return d
		}, false},
		{"hangs", func(d fakemesh.Direct) metrics.Provider {
			d.Takes = time.Hour
			return d
		}, true},
		{"lies", func(d fakemesh.Direct) metrics.Provider {
			return reader(func(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error) {
				series, err := d.Read(ctx, q, now, time.Minute)
				for i := range series {
					series[i].Samples[0].Value = []float64{math.NaN(), math.Inf(1), -1, 0}[i%4]
				}
				return series, err
			})
		}, false},
	} {
		bubble(t, func(t *testing.T) {
			b := breaking(t, 0.001)
			b.tweak = func(x *rollout.Executor) {
				readProxies(nil)(x)
				x.Proxies = c.read(x.Proxies.(fakemesh.Direct))
			}
			got, err := b.runner("one").start()
			endedAs(t, got, err, rollout.Succeeded, "")
			if want == nil {
				want = happened(b)
			}
			if diff := cmp.Diff(want, happened(b)); diff != "" {
				t.Errorf("%s (-without it +with it):\n%s", c.name, diff)
			}
			told := 0
			for _, w := range fakemesh.Of[rollout.Warned](b.sink) {
				if strings.Contains(w.Text, "the tripwire cannot read the proxies") {
					told++
				}
			}
			if (told == 1) != c.warned {
				t.Errorf("%s: warned %d times", c.name, told)
			}
		})
	}
}

// A reader that does not even heed its context keeps nobody from taking the rollout back.
func TestDeafReaderDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 0.001)
		release, asked := make(chan struct{}), make(chan time.Time, 1)
		var calls atomic.Int32
		b.tweak = readProxies(func(fakemesh.Direct) metrics.Provider {
			return reader(func(context.Context, metrics.Query, time.Time) ([]metrics.Series, error) {
				calls.Add(1)
				<-release
				return nil, nil
			})
		})
		r := b.runner("one")
		go func() {
			time.Sleep(40 * time.Second) // step 0 is over
			asked <- time.Now()
			b.world.Ask(b.change.Target, rollout.RequestAbort)
		}()
		got, err := r.start()
		endedAs(t, got, err, rollout.RolledBack, rollout.CausePerson)
		if took := time.Since(<-asked); took > 8*time.Second {
			t.Errorf("the abort took %s", took)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d readings at once", n)
		}
		close(release)
	})
}

// The busiest pods are named to the reader, and stay the same while a step lasts.
func TestReaderIsToldWhoIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 0.001)
		var mu sync.Mutex
		seen := map[string]int{}
		b.tweak = readProxies(func(d fakemesh.Direct) metrics.Provider {
			return reader(func(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error) {
				mu.Lock()
				seen[strings.Join(slices.Sorted(slices.Values(q.Callers)), " ")]++
				mu.Unlock()
				if q.FromZero {
					t.Error("what was counted before the step would count for it")
				}
				return d.Read(ctx, q, now, time.Minute)
			})
		})
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		if len(seen) != 1 || seen["shop/front-1 shop/front-2 web/shopfront-1"] == 0 {
			t.Errorf("%v", seen)
		}
	})
}

// Where the pods of the sample do not answer any more, those that are busy now take their place.
func TestReaderIsToldOfOthersWhereItsPodsAreGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := breaking(t, 0.001)
		gone, asked := "shop/front-1", make(chan []string, 1000)
		b.tweak = readProxies(func(d fakemesh.Direct) metrics.Provider {
			return reader(func(ctx context.Context, q metrics.Query, now time.Time) ([]metrics.Series, error) {
				asked <- q.Callers
				if slices.Contains(q.Callers, gone) && !slices.ContainsFunc(b.world.Snapshot().Pods, func(p policy.Pod) bool { return p.ID() == gone }) {
					return nil, errors.New("pod not found")
				}
				return d.Read(ctx, q, now, time.Minute)
			})
		})
		go func() {
			time.Sleep(35 * time.Second)
			b.world.RemovePod(gone)
		}()
		got, err := b.runner("one").start()
		endedAs(t, got, err, rollout.Succeeded, "")
		close(asked)
		var last []string
		for last = range asked {
		}
		if slices.Contains(last, gone) || len(last) == 0 {
			t.Errorf("asked last: %v", last)
		}
	})
}
