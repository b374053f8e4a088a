package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// flushed is how long Envoy may keep lines of its access log to itself, and a little.
const flushed = 11 * time.Second

// call is what a client's own Envoy wrote about one request.
type call struct {
	pod    string
	start  time.Time
	took   time.Duration
	code   int
	flags  string
	cohort referee.Cohort
	route  string
}

// ok tells whether nothing went wrong.
func (c call) ok() bool { return c.code >= 100 && c.code < 500 && c.flags == "-" }

// calls reads what the client pods' Envoys wrote of their requests to cart in an interval.
func (b *bench) calls(in referee.Interval) ([]call, error) {
	var out []call
	for _, name := range b.clients() {
		path := filepath.Join(b.lab.Dir, "pods", b.pods[name].uid, "istio-proxy", "access.log")
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the access log of %s: %w", name, err)
		}
		out, err = appendCalls(out, name, f, in)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the access log of %s: %w", name, err)
		}
	}
	return out, nil
}

func appendCalls(out []call, pod string, f *os.File, in referee.Interval) ([]call, error) {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 8 || !strings.Contains(fields[6], "cart.") && fields[6] != "-" {
			continue // the last line may be half written
		}
		c, err := parseCall(fields)
		if err != nil {
			return nil, err
		}
		if c.pod = pod; in.Contains(c.start) {
			out = append(out, c)
		}
	}
	return out, lines.Err()
}

// parseCall reads a line in the format of the lab's mesh configuration.
func parseCall(fields []string) (call, error) {
	micros, err1 := strconv.ParseInt(fields[0], 10, 64)
	took, err2 := strconv.ParseInt(fields[1], 10, 64)
	code, err3 := strconv.Atoi(fields[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return call{}, fmt.Errorf("no access log line: %q", strings.Join(fields, " "))
	}
	return call{start: time.UnixMicro(micros), took: time.Duration(took) * time.Millisecond, code: code, flags: fields[3],
		cohort: referee.CohortOf(fields[4]), route: fields[5]}, nil
}

// clonePrefix is how the names of a rollout's clones begin.
const clonePrefix = "mp-new-"

// windowOf reads the window of ids from a clone's name: mp-new-<rev>-<number>-<s or w><start>-<width>, in hex.
func windowOf(route string) (referee.Window, bool) {
	parts := strings.Split(route, "-")
	if len(parts) != 6 || len(parts[4]) < 2 || (parts[4][0] != 'w' && parts[4][0] != 's') {
		return referee.Window{}, false
	}
	start, err1 := strconv.ParseInt(parts[4][1:], 16, 32)
	width, err2 := strconv.ParseInt(parts[5], 16, 32)
	w := referee.Window{Start: int(start), Width: int(width)}
	return w, err1 == nil && err2 == nil && w.Validate() == nil
}

// placement is how a step's requests were routed by the client's own Envoys.
type placement struct {
	total, cloned int
	// misplaced requests are on another side than their id says; stale ones took a clone of another step.
	misplaced, stale int
	window           referee.Window
}

// place compares the route of every request with the window in the name of the clone that most requests took.
func place(calls []call) placement {
	names, most := map[string]int{}, ""
	for _, c := range calls {
		if strings.HasPrefix(c.route, clonePrefix) {
			if names[c.route]++; names[c.route] > names[most] {
				most = c.route
			}
		}
	}
	window, ok := windowOf(most)
	if !ok {
		return placement{total: len(calls)}
	}
	p := placement{total: len(calls), window: window}
	for _, c := range calls {
		cloned := strings.HasPrefix(c.route, clonePrefix)
		p.cloned += one(cloned)
		p.stale += one(cloned && c.route != most)
		p.misplaced += one(cloned != window.Contains(c.cohort))
	}
	return p
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
