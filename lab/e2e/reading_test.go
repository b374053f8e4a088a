//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestReadingTheProxiesEverySecond logs what the tripwire's readings cost: each goes through the API server to the
// statistics of up to ten proxies, eight at once.
func TestReadingTheProxiesEverySecond(t *testing.T) {
	const rps, seconds = 500, 6
	s := newScene(t, rps, nil)
	r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--no-tripwire", "--step-min", "90s", "--step-max", "100s")...)
	s.until(r, judged("10 %"))
	client, err := rest.HTTPClientFor(s.lab.Config)
	s.must(err)
	status, err := s.lab.Control.Status(s.ctx)
	s.must(err)
	var pods []string
	for _, p := range status.Pods {
		if p.Namespace == trial.Namespace {
			pods = append(pods, p.Name)
		}
	}
	idle := s.cpu(seconds, func() {})
	t.Logf("TRIP the API server alone: %.1f %% of a core at %d requests/s", 100*idle, rps)
	for _, n := range []int{1, 4, 10} {
		n = min(n, len(pods))
		var mu sync.Mutex
		var one, whole []time.Duration
		size := 0
		busy := s.cpu(seconds, func() {
			began := time.Now()
			var group sync.WaitGroup
			slots := make(chan struct{}, 8)
			for _, pod := range pods[:n] {
				group.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					took, bytes, err := s.reading(client, pod, ".route.mp.")
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					}
					one, size = append(one, took), max(size, bytes)
				})
			}
			group.Wait()
			whole = append(whole, time.Since(began))
		})
		_, all, err := s.reading(client, pods[0], "")
		s.must(err)
		t.Logf("TRIP %d pods every second: one pod median %s p90 %s, all of them median %s p90 %s, at most %d bytes a pod (%d without a filter), API server + %.1f %% of a core",
			n, quantile(one, 0.5), quantile(one, 0.9), quantile(whole, 0.5), quantile(whole, 0.9), size, all, 100*(busy-idle))
	}
	s.must(r.Signal(os.Interrupt))
	s.ends(r, 5)
	s.untouched()
}

// reading reads the statistics of one pod as meshpol does.
func (s *scene) reading(client *http.Client, pod, filter string) (took time.Duration, bytes int, err error) {
	began := time.Now()
	address := s.lab.Config.Host + "/api/v1/namespaces/" + trial.Namespace + "/pods/" + pod + ":15090/proxy/stats/prometheus?" + url.Values{"filter": {filter}}.Encode()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("reading pod %s: %s", pod, resp.Status)
	}
	return time.Since(began), len(text), err
}

// cpu does something every second and gives the cores that the API server used meanwhile.
func (s *scene) cpu(seconds int, act func()) float64 {
	s.Helper()
	began, before := time.Now(), s.apiServerTime()
	for i := range seconds {
		act()
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * time.Second)))
	}
	return (s.apiServerTime() - before).Seconds() / time.Since(began).Seconds()
}

// apiServerTime is the processor time of the lab's API server so far.
func (s *scene) apiServerTime() time.Duration {
	s.Helper()
	status, err := s.lab.Control.Status(s.ctx)
	s.must(err)
	i := slices.IndexFunc(status.Parts, func(p conn.PartStatus) bool { return strings.Contains(p.Name, "apiserver") })
	if i < 0 {
		s.Fatalf("no API server among the lab's parts: %+v", status.Parts)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", status.Parts[i].PID))
	s.must(err)
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
	ticks := 0.0
	for _, f := range fields[11:13] {
		n, err := strconv.ParseFloat(f, 64)
		s.must(err)
		ticks += n
	}
	return time.Duration(ticks / 100 * float64(time.Second))
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
}
