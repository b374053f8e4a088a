package app

import (
	"cmp"
	"slices"
	"sync"
)

// maxPaths bounds the paths that are counted one by one; the rest share otherPaths.
const (
	maxPaths   = 1000
	otherPaths = "(other paths)"
)

// Count is the requests that came to one path in one attempt.
type Count struct {
	Path string `json:"path"`
	// Attempt is the proxy's count of attempts, 0 when it sent none.
	Attempt  int `json:"attempt"`
	Requests int `json:"requests"`
	// Actions counts what became of them: answer, fail, slow, hang, reset, refuse.
	Actions map[string]int `json:"actions"`
}

type countKey struct {
	path    string
	attempt int
}

// counters counts requests since they were last cleared.
type counters struct {
	mu    sync.Mutex
	paths map[string]bool
	byKey map[countKey]*Count
}

func (c *counters) add(path string, attempt int, act action) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey == nil {
		c.paths, c.byKey = map[string]bool{}, map[countKey]*Count{}
	}
	if !c.paths[path] && len(c.paths) >= maxPaths {
		path = otherPaths
	}
	c.paths[path] = true
	key := countKey{path: path, attempt: min(max(attempt, 0), 255)}
	count := c.byKey[key]
	if count == nil {
		count = &Count{Path: path, Attempt: key.attempt, Actions: map[string]int{}}
		c.byKey[key] = count
	}
	count.Requests++
	count.Actions[string(act)]++
}

func (c *counters) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths, c.byKey = nil, nil
}

// list is the counts by path and attempt.
func (c *counters) list() []Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []Count{}
	for _, count := range c.byKey {
		copied := *count
		copied.Actions = map[string]int{}
		for act, n := range count.Actions {
			copied.Actions[act] = n
		}
		out = append(out, copied)
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Attempt, b.Attempt))
	})
	return out
}
