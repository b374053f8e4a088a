package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// proxyFleet is a fleet of proxies with one counter per side that grows by one at each reading.
type proxyFleet struct {
	mu     sync.Mutex
	n      map[string]int
	asked  []string
	filter string
	broken map[string]error
	text   string
}

func (f *proxyFleet) fetch(_ context.Context, pod, filter string) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.filter = append(f.asked, pod), filter
	if err := f.broken[pod]; err != nil {
		return nil, err
	}
	if f.text != "" {
		return io.NopCloser(strings.NewReader(f.text)), nil
	}
	f.n[pod]++
	text := ""
	if strings.Contains(pod, "caller") {
		text = fmt.Sprintf("# TYPE envoy_vhost_cart_route_mp_r1_new_upstream_rq counter\nenvoy_vhost_cart_route_mp_r1_new_upstream_rq{response_code=\"503\"} %d\n", f.n[pod]) +
			"# TYPE envoy_vhost_cart_route_mp_r1_new_upstream_rq_time histogram\n" +
			"envoy_vhost_cart_route_mp_r1_new_upstream_rq_time_bucket{le=\"5\"} 3\nenvoy_vhost_cart_route_mp_r1_new_upstream_rq_time_bucket{le=\"+Inf\"} 4\n" +
			"envoy_vhost_cart_route_mp_r1_new_upstream_rq_time_sum{} 9\nenvoy_vhost_cart_route_mp_r1_new_upstream_rq_time_count{} 4\n"
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func fleet(callers, others int) (*proxyFleet, []string) {
	f := &proxyFleet{n: map[string]int{}, broken: map[string]error{}}
	var pods []string
	for i := range callers {
		pods = append(pods, fmt.Sprintf("shop/caller-%03d", i))
	}
	for i := range others {
		pods = append(pods, fmt.Sprintf("shop/other-%03d", i))
	}
	return f, pods
}

func routeQuery() metrics.Query {
	return metrics.Query{FromZero: true, Rules: []metrics.SeriesRule{
		{NameContains: "_route_mp_r1_new_upstream_rq_time", Side: metrics.New, Class: metrics.ClassDuration},
		{NameContains: "_route_mp_r1_new_upstream_rq", Side: metrics.New, Class: metrics.ClassCode},
	}}
}

func TestProxiesAreCounted(t *testing.T) {
	f, pods := fleet(2, 1)
	p := NewProxies(func(context.Context) ([]string, error) { return pods, nil }, f.fetch, JudgeSample())
	now := time.Date(2026, 11, 24, 3, 0, 0, 123456789, time.UTC)
	counters := metrics.NewCounters(routeQuery())
	for i := range 3 {
		from := now.Add(time.Duration(i) * 5 * time.Second)
		series, err := p.Read(t.Context(), routeQuery(), from.Add(5*time.Second), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var tick metrics.Tick
		counters, tick = counters.Step(series, from, from.Add(5*time.Second))
		got := tick.Total(metrics.New)
		if got.Requests != 2 || got.Errors != 2 || !tick.Newest.Equal(from.Add(5*time.Second)) {
			t.Errorf("tick %d: %+v, newest %s", i, got, tick.Newest)
		}
		if i == 0 && got.Timed != 8 {
			t.Errorf("%v timed, want 8", got.Timed)
		}
	}
	if f.filter != ".route.mp.r1.new.upstream.rq|.route.mp.r1.new.upstream.rq.time" {
		t.Error(f.filter)
	}
	if !p.Live() {
		t.Error("it is live")
	}
}

// Of many proxies those that count are read every time, and of the others each has its turn.
func TestProxiesAreSampled(t *testing.T) {
	f, pods := fleet(3, 200)
	p := NewProxies(func(context.Context) ([]string, error) { return pods, nil }, f.fetch, JudgeSample())
	seen := map[string]int{}
	for i := range 40 {
		f.asked = nil
		if _, err := p.Read(t.Context(), routeQuery(), time.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if len(f.asked) > JudgeSample().All {
			t.Fatalf("round %d: %d proxies were asked", i, len(f.asked))
		}
		for _, pod := range f.asked {
			seen[pod]++
		}
	}
	if len(seen) < 200 || seen["shop/caller-001"] < 20 {
		t.Errorf("%d proxies were asked in all, a caller %d times", len(seen), seen["shop/caller-001"])
	}
	sides := map[string]metrics.Side{}
	for i, pod := range pods {
		sides[pod] = metrics.Old
		if i < 40 {
			sides[pod] = metrics.New
		}
	}
	f.asked = nil
	q := routeQuery()
	q.Instances = sides
	if _, err := p.Read(t.Context(), q, time.Now(), time.Minute); err != nil || len(f.asked) != JudgeSample().All {
		t.Errorf("by instance %d were asked, %v", len(f.asked), err)
	}
}

func TestProxiesThatDoNotAnswer(t *testing.T) {
	f, pods := fleet(4, 0)
	p := NewProxies(func(context.Context) ([]string, error) { return pods, nil }, f.fetch, JudgeSample())
	refused := errors.New("connection refused")
	f.broken[pods[0]] = refused
	if series, err := p.Read(t.Context(), routeQuery(), time.Now(), time.Minute); err != nil || len(series) == 0 {
		t.Errorf("one of four away: %d series, %v", len(series), err)
	}
	f.broken[pods[1]], f.broken[pods[2]] = refused, refused
	if _, err := p.Read(t.Context(), routeQuery(), time.Now(), time.Minute); !errors.Is(err, refused) || !strings.Contains(err.Error(), "3 of 4") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Read(ctx, routeQuery(), time.Now(), time.Minute); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	pods = nil
	if _, err := p.Read(t.Context(), routeQuery(), time.Now(), time.Minute); err == nil || !strings.Contains(err.Error(), "no pod") {
		t.Error(err)
	}
}

func TestProxiesThatAnswerNonsense(t *testing.T) {
	for text, want := range map[string]string{
		"<html>":                      "shop/caller-000",
		"x{response_code=\"200\" 3\n": "shop/caller-000",
		"x 1\n" + strings.Repeat("# x\n", maxProxyAnswer/4): "more than",
	} {
		f, pods := fleet(1, 0)
		f.text = text
		p := NewProxies(func(context.Context) ([]string, error) { return pods, nil }, f.fetch, JudgeSample())
		if _, err := p.Read(t.Context(), routeQuery(), time.Now(), time.Minute); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// A tripwire's reader asks few, those that its query names, and waits for none that does not answer.
func TestNamedCallersAreAskedAlone(t *testing.T) {
	f, pods := fleet(30, 20)
	p := NewProxies(func(context.Context) ([]string, error) { return nil, errors.New("nobody need list the pods") }, f.fetch, TripwireSample())
	q := routeQuery()
	q.Callers = []string{"shop/caller-007", "shop/caller-003"}
	if _, err := p.Read(t.Context(), q, time.Now(), time.Minute); err != nil || len(f.asked) != 2 {
		t.Errorf("asked %v, %v", f.asked, err)
	}
	f.asked, q.Callers = nil, pods
	if _, err := p.Read(t.Context(), q, time.Now(), time.Minute); err != nil || len(f.asked) != 10 {
		t.Errorf("asked %v, %v", f.asked, err)
	}
	f.asked, q.Instances = nil, map[string]metrics.Side{}
	for i, pod := range pods {
		q.Instances[pod] = []metrics.Side{metrics.New, metrics.Old}[i%2]
	}
	if _, err := p.Read(t.Context(), q, time.Now(), time.Minute); err != nil || len(f.asked) != 30 {
		t.Errorf("by instance %d were asked, %v", len(f.asked), err)
	}
}
