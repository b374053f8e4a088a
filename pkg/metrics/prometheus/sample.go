package prometheus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

var _ metrics.Sampler = (*Provider)(nil)

// sampling bounds an answer that is too large: half of the pods are asked, then a quarter, an eighth. A comparison
// conditions on the counts, so that a sample of the pods is as valid as all of them and only slower (ANALYSIS.md section
// 9). Once narrowed it stays so for the Provider's life, so that the same pods are asked each time.
//
// An answer of 1,000 pods with both sides and 20 buckets has some 46,000 series and 18 MB (BenchmarkRead1000Pods): it
// is within DefaultMaxBytes, and nothing is left out.
type sampling struct {
	mu    sync.Mutex
	label model.LabelName
	level int
}

// partPatterns are last characters of pod names: about a half, a quarter and an eighth of them, each within the one
// before.
func partPatterns() []string {
	return []string{"", "[bdgjlnqsvx13579]", "[bgnsx159]", "[bn19]"}
}

// podsByInstance is how many pods of either side are asked by name, where those of all are too large an answer.
const podsByInstance = 100

// Sampled implements metrics.Sampler.
func (p *Provider) Sampled() int {
	level, _ := p.sampling.now()
	return level
}

// now is the level and the label of pods' names.
func (s *sampling) now() (int, model.LabelName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level, s.label
}

// narrow goes on to a smaller part, unless another goroutine did so already; false at the smallest.
func (s *sampling) narrow(from int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.level == from {
		s.level++
	}
	s.level = min(s.level, len(partPatterns())-1)
	return s.level > from
}

// learn notes which label has the pods' names.
func (s *sampling) learn(m model.Metric) {
	for _, pair := range podLabels() {
		if m[pair[0]] != "" && m[pair[1]] != "" {
			s.mu.Lock()
			s.label = pair[1]
			s.mu.Unlock()
			return
		}
	}
}

// selector narrows a query to the part that is asked.
func (s *sampling) selector(q metrics.Query) (selector string, level int) {
	level, label := s.now()
	switch {
	case level == 0 || label == "":
		return q.Selector, level
	case q.Instances != nil:
		return narrowed(q.Selector, fmt.Sprintf("%s=~%q", label, strings.Join(namesOf(q.Instances, podsByInstance>>(level-1)), "|"))), level
	default:
		return narrowed(q.Selector, fmt.Sprintf("%s=~%q", label, ".*"+partPatterns()[level])), level
	}
}

// namesOf are at most n pods of either side, as regular expressions.
func namesOf(instances map[string]metrics.Side, n int) []string {
	count := map[metrics.Side]int{}
	var out []string
	for _, pod := range slices.Sorted(maps.Keys(instances)) {
		if side := instances[pod]; count[side] < n {
			count[side]++
			_, name, _ := strings.Cut(pod, "/")
			out = append(out, regexp.QuoteMeta(name))
		}
	}
	return out
}

// bounded asks for a matrix, of fewer pods where the answer is too large.
func (p *Provider) bounded(ctx context.Context, q metrics.Query, now time.Time, window time.Duration) (model.Matrix, error) {
	for {
		selector, level := p.sampling.selector(q)
		matrix, err := p.matrix(ctx, RangeQuery(selector, window), now)
		if !tooMuch(err) || !p.canSample() || !p.sampling.narrow(level) {
			return matrix, err
		}
		p.options.OnWarning(fmt.Sprintf("the answer of all pods is too large: about one in %d is asked from now on", 1<<(level+1)))
	}
}

func (p *Provider) canSample() bool {
	_, label := p.sampling.now()
	return label != ""
}

// tooMuch tells an answer that fewer pods would make possible: larger than our limit, or than Prometheus' own.
func tooMuch(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == TooLarge || strings.Contains(e.Err.Error(), "too many samples"))
}
