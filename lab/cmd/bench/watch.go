package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/conn"
)

// routeConfig is the route configuration that holds every route to port 80, and so every route of the sample system.
const routeConfig = "^80$"

// How often proxies are asked. Envoy itself says when it took a route configuration (last_updated, to the millisecond),
// so that asking now and then is exact as long as it is quicker than two changes; asking often is only the proof of it.
const (
	seldom = 100 * time.Millisecond
	often  = 20 * time.Millisecond
)

// change is one new route configuration in one proxy.
type change struct {
	// at is when the proxy took it, in its own words; seen is when an answer first showed it.
	at, seen time.Time
	// names are all names of ours in it: they tell which write it comes from.
	names string
}

// watch asks every proxy's admin port, from inside its pod, which route configuration it has.
type watch struct {
	// full reads the whole configuration, to see whether its content changes with last_updated.
	full  bool
	every time.Duration
	stop  context.CancelFunc
	group sync.WaitGroup

	mu      sync.Mutex
	changes map[string][]change
	costs   []time.Duration
	// untold counts contents that changed while last_updated did not.
	untold int
	err    error
}

// startWatch asks the proxies of some pods ("namespace/name") until stop.
func startWatch(ctx context.Context, lab string, pods []string, every time.Duration, full bool) (*watch, error) {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{full: full, every: every, stop: stop, changes: map[string][]change{}}
	for _, pod := range pods {
		dial, err := conn.DialPod(ctx, lab, pod)
		if err != nil {
			stop()
			return nil, err
		}
		client := &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 5 * time.Second}
		w.group.Go(func() { w.follow(ctx, pod, client) })
	}
	return w, nil
}

// end stops asking; what was seen stays.
func (w *watch) end() error {
	w.stop()
	w.group.Wait()
	return w.err
}

func (w *watch) follow(ctx context.Context, pod string, client *http.Client) {
	defer client.CloseIdleConnections()
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	var last change
	for ctx.Err() == nil {
		now, err := w.look(ctx, client, last)
		if ctx.Err() != nil {
			return
		}
		w.note(pod, last, now, err)
		if err == nil {
			last = now
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look asks for the present configuration. Unless all is read anyway, its content is read only where it is new.
func (w *watch) look(ctx context.Context, client *http.Client, last change) (change, error) {
	began := time.Now()
	now, err := ask(ctx, client, w.full)
	w.mu.Lock()
	w.costs = append(w.costs, time.Since(began))
	w.mu.Unlock()
	if err != nil || w.full {
		return now, err
	}
	if now.at.Equal(last.at) {
		return last, nil
	}
	return ask(ctx, client, true)
}

func (w *watch) note(pod string, last, now change, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.err = fmt.Errorf("asking the proxy of %s: %w", pod, err)
	case !now.at.Equal(last.at):
		w.changes[pod] = append(w.changes[pod], now)
	case now.names != last.names:
		w.untold++
	}
}

// ask gives the time of the last change, and in full all names of ours in the configuration.
func ask(ctx context.Context, client *http.Client, full bool) (change, error) {
	query := url.Values{"resource": {"dynamic_route_configs"}, "name_regex": {routeConfig}}
	if !full {
		query.Set("mask", "last_updated")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:15000/config_dump?"+query.Encode(), nil)
	if err != nil {
		return change{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return change{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return change{}, err
	}
	found := lastUpdated().FindSubmatch(body)
	if found == nil {
		return change{}, fmt.Errorf("no last_updated in the answer %.200q", body)
	}
	at, err := time.Parse(time.RFC3339Nano, string(found[1]))
	names := ourNames().FindAllString(string(body), -1)
	slices.Sort(names)
	return change{at: at, seen: time.Now(), names: strings.Join(slices.Compact(names), " ")}, err
}

//nolint:gochecknoglobals // compiled once, never changed
var (
	lastUpdated = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"last_updated": "([^"]+)"`) })
	ourNames    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`mp-[0-9a-z-]+`) })
)

// reached is when the last proxy took a write, with the proxies that were not seen to take it. What a write makes of
// the routes is what most proxies get first after it; what they get later is from the next write, or from a label.
func (w *watch) reached(x write) (last time.Time, missing []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	content := w.contentOf(x)
	for pod := range w.changes {
		i := slices.IndexFunc(w.after(pod, x), func(c change) bool { return c.names == content })
		if i < 0 {
			missing = append(missing, pod)
			continue
		}
		if at := w.after(pod, x)[i].at; at.After(last) {
			last = at
		}
	}
	slices.Sort(missing)
	return last, missing
}

func (w *watch) contentOf(x write) string {
	count, most := map[string]int{}, ""
	for pod := range w.changes {
		if changes := w.after(pod, x); len(changes) > 0 {
			if count[changes[0].names]++; count[changes[0].names] > count[most] {
				most = changes[0].names
			}
		}
	}
	return most
}

// after are a proxy's changes that may come from a write. A busy meshpol may tell of its write when proxies have it
// already, so that they begin with the proof of the write before.
func (w *watch) after(pod string, x write) []change {
	var out []change
	for _, c := range w.changes[pod] {
		if c.at.After(x.before) && c.at.After(x.wrote.Add(-time.Second)) && c.at.Before(x.proved.Add(3*time.Second)) && c.at.Before(x.after) {
			out = append(out, c)
		}
	}
	return out
}

// lags are how much later than the proxies' own word an answer showed each change.
func (w *watch) lags() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []time.Duration
	for _, changes := range w.changes {
		for _, c := range changes[min(1, len(changes)):] {
			out = append(out, c.seen.Sub(c.at))
		}
	}
	return out
}

// around tells all changes near a write, by proxy, in milliseconds since the write.
func (w *watch) around(x write) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for pod, changes := range w.changes {
		text := pod
		for _, c := range changes {
			if c.at.After(x.wrote.Add(-time.Second)) && c.at.Before(x.proved.Add(4*time.Second)) {
				text += fmt.Sprintf(" %+d", c.at.Sub(x.wrote).Milliseconds())
			}
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return fmt.Sprintf("%s written %s, proved %+d ms; changes: %s", x.why, clock(x.wrote), x.proved.Sub(x.wrote).Milliseconds(), strings.Join(out, "; "))
}
