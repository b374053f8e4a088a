package metrics

import (
	"testing"
	"time"
)

// BenchmarkJudgeTick judges one interval of a step by request, counted by 20 client pods.
func BenchmarkJudgeTick(b *testing.B) {
	j, err := NewJudge(DefaultJudgeConfig())
	if err != nil {
		b.Fatal(err)
	}
	step := JudgeStep{Index: 4, Kind: StepProof, Share: 0.5, Min: 2 * time.Minute, Max: 20 * time.Minute, Started: start()}
	var state State
	now := start()
	for b.Loop() {
		tick := seen(now, 15*time.Second, 20, 3000, 2, 3000, 2)
		now = now.Add(15 * time.Second)
		state, _ = j.Step(state, step, tick, now)
		if now.Sub(start()) > 10*time.Minute {
			state, now = State{}, start()
		}
	}
}
