package fakemesh

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// Direct reads the proxies themselves: its counters are of this moment, and it knows nothing of any other.
type Direct struct {
	Node *Node
	// Takes is how long a reading takes at the least. Where tests depend on the order of calls it must not be 0: the
	// tripwire's readings are due together with others.
	Takes time.Duration
}

var (
	_ metrics.Provider = Direct{}
	_ metrics.Live     = Direct{}
)

// Live implements metrics.Live.
func (Direct) Live() bool { return true }

// Read implements metrics.Provider.
func (d Direct) Read(ctx context.Context, q metrics.Query, now time.Time, _ time.Duration) (out []metrics.Series, err error) {
	if err := wait(ctx, d.Takes); err != nil {
		return nil, err
	}
	err = d.Node.do(ctx, "read-proxies", q.Selector, func() error {
		w := d.Node.World
		w.count(time.Now())
		w.flowTo(time.Now())
		for _, key := range slices.Sorted(maps.Keys(w.counters)) {
			c := w.counters[key]
			if _, lives := w.pods[c.pod]; lives {
				out = append(out, metrics.Series{Pod: c.pod, Labels: map[string]string{"__name__": c.name, metrics.CodeLabel: c.code},
					Samples: []metrics.Sample{{At: now, Value: c.value}}})
			}
		}
		return nil
	})
	return out, err
}
