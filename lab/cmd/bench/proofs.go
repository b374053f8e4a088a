package main

import (
	"fmt"
	"time"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// barriers adds what the proofs of some runs were worth: each write of routes beside the moment at which the last proxy
// took it.
func (b *bench) barriers(group string, runs []*trial.Run, w *watch) {
	var there, behind, whole, others []time.Duration
	early, unseen, same := 0, 0, 0
	var slowest write
	var most time.Duration
	for _, r := range runs {
		for _, x := range writesOf(r) {
			if x.kind != "VirtualService" {
				others = append(others, x.proved.Sub(x.wrote))
				continue
			}
			last, missing := w.reached(x)
			if len(missing) == len(b.pods) {
				same++ // it changed marks or fields that no proxy sees
				continue
			}
			if len(missing) > 0 {
				unseen++
				b.report.remark("unseen: %s", w.around(x))
				continue
			}
			if x.proved.Before(last) {
				early++
				b.report.remark("early: %s", w.around(x))
			}
			if late := x.proved.Sub(last); late > most {
				slowest, most = x, late
			}
			there, behind, whole = append(there, last.Sub(x.wrote)), append(behind, x.proved.Sub(last)), append(whole, x.proved.Sub(x.wrote))
		}
	}
	if most > slow {
		b.report.remark("%s: the slowest proof came %.3f s after the last proxy had it: %s", group, most.Seconds(), w.around(slowest))
	}
	b.report.sample(group, "routes: write → last proxy has it", "s", secondsOf(there), 0, "")
	b.report.sample(group, "routes: last proxy has it → proved", "s", secondsOf(behind), 0.2, "")
	b.report.sample(group, "routes: write → proved", "s", secondsOf(whole), 0, "")
	if len(others) > 0 {
		b.report.sample(group, "DestinationRule: write → proved", "s", secondsOf(others), 0, "")
	}
	b.report.zero(group, "proofs that came before the last proxy had it", len(whole), early, fmt.Sprintf("not counted: %d writes that changed no route", same))
	b.report.zero(group, "writes that a proxy was not seen to take", len(whole)+unseen, unseen, "")
}

// slow is how far a proof may be behind before it is told which one it was.
const slow = 500 * time.Millisecond

func clock(t time.Time) string { return t.Format("15:04:05.000") }
