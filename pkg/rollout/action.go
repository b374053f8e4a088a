package rollout

import "time"

// Action is what to do next. Its cases are the types of this file.
type Action interface{ action() }

// ActWrite sends the write of a stage.
type ActWrite struct{ Step, Stage int }

// ActProve waits until every proxy holds a stage.
type ActProve struct{ Step, Stage int }

// ActLabel puts pods into the cohort and waits until they hold it.
type ActLabel struct{ Pods []string }

// ActHold begins to judge the step.
type ActHold struct{}

// ActMeasure waits for the time and reads the next interval.
type ActMeasure struct{ At time.Time }

// ActAdvance ends the step.
type ActAdvance struct{ Why string }

// ActPause waits for a person; Until is the time at which it goes on by itself, zero: never.
type ActPause struct {
	// Cause says what made it pause; empty where the rollout itself asks for the pause.
	Cause  Cause
	Reason string
	Until  time.Time
}

// ActResume goes on after a pause, at the same step.
type ActResume struct{}

// ActTakeBack begins the way back.
type ActTakeBack struct {
	Cause  Cause
	Reason string
}

// ActNeutralise takes the new policy out of force and proves it.
type ActNeutralise struct{}

// ActUnlabel takes the pods out of the cohort.
type ActUnlabel struct{}

// ActTidy brings the touched objects back, one after the other, each behind its proof.
type ActTidy struct{}

// ActRelease takes our marks off the objects, gives their fields back to their owners and closes the record.
type ActRelease struct{}

// ActEnd ends the run in a phase.
type ActEnd struct{ Phase Phase }

func (ActWrite) action()      {}
func (ActProve) action()      {}
func (ActLabel) action()      {}
func (ActHold) action()       {}
func (ActMeasure) action()    {}
func (ActAdvance) action()    {}
func (ActPause) action()      {}
func (ActResume) action()     {}
func (ActTakeBack) action()   {}
func (ActNeutralise) action() {}
func (ActUnlabel) action()    {}
func (ActTidy) action()       {}
func (ActRelease) action()    {}
func (ActEnd) action()        {}
