package rollout_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/fakemesh"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

// asker answers from the seconds since the rollout began.
type asker struct {
	mu    sync.Mutex
	began time.Time
	value func(time.Duration) (float64, error)
	asked []string
}

func (a *asker) Ask(_ context.Context, query string, now time.Time) (float64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, query)
	return a.value(now.Sub(a.began))
}

func TestOwnChecks(t *testing.T) {
	least := 5.0
	for name, c := range map[string]struct {
		spec  spec
		value func(time.Duration) (float64, error)
		phase rollout.Phase
		cause rollout.Cause
		says  string
	}{
		"well":                       {spec{}, func(time.Duration) (float64, error) { return 7, nil }, rollout.Succeeded, "", ""},
		"harm at 50 %":               {spec{}, func(d time.Duration) (float64, error) { return 7 - (d/(70*time.Second)).Seconds()*1e9*4, nil }, rollout.RolledBack, rollout.CauseBreach, "check orders is 3, below 5, 2 times in a row"},
		"a source that never speaks": {spec{}, func(time.Duration) (float64, error) { return 0, errors.New("connection refused") }, rollout.RolledBack, rollout.CauseInconclusive, "connection refused"},
		"by instance":                {spec{objects: cartObjects + cartRule, policy: cartBreaker, rollout: byInstance, pods: clients()}, func(time.Duration) (float64, error) { return 7, nil }, rollout.Succeeded, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := prepare(t, c.spec)
				check := metrics.Check{Name: "orders", Query: `sum(orders{rev="$rev"})`, Min: &least, Failures: 2}
				if c.spec.pods != nil {
					check.Query = `sum(orders{rev="$rev",pod=~"$pods"})`
				}
				b.setting.Checks = []metrics.Check{check}
				b.judge = metrics.Checked{Judge: b.judge, Checks: b.setting.Checks}
				a := &asker{began: time.Now(), value: c.value}
				b.tweak = func(x *rollout.Executor) { x.Asker = a }
				got, err := b.runner("one").start()
				endedAs(t, got, err, c.phase, c.cause)
				if !strings.Contains(got.Reason, c.says) {
					t.Errorf("reason %q, want %q", got.Reason, c.says)
				}
				rev := fakemesh.Of[rollout.Started](b.sink)[0]
				if len(a.asked) == 0 || rev.Digest == "" {
					t.Fatal("nothing was asked")
				}
				for _, q := range a.asked {
					if strings.Contains(q, "$") || strings.Contains(q, `rev=""`) || strings.Contains(q, `pod=~""`) {
						t.Errorf("asked %s", q)
					}
				}
				if c.phase == rollout.RolledBack {
					b.asBefore()
				}
			})
		})
	}
}
