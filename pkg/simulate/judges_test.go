package simulate

import (
	"testing"

	"github.com/meshpol/meshpol/pkg/metrics"
)

// named is a judge that is only its name.
type named struct {
	metrics.Judge
	name string
}

// TestJudgesTakeTurns: a run's judge depends on its number alone, whoever runs it.
func TestJudgesTakeTurns(t *testing.T) {
	o := Options{Judge: named{name: "only"}}
	if o.judge(7).(named).name != "only" {
		t.Error("the only judge is not asked")
	}
	o.Judges = []metrics.Judge{named{name: "a"}, named{name: "b"}}
	for index, want := range []string{"a", "b", "a"} {
		if got := o.judge(index).(named).name; got != want {
			t.Errorf("run %d has judge %s, want %s", index, got, want)
		}
	}
}
