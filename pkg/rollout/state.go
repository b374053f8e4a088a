package rollout

import (
	"time"

	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/policy"
)

// StateVersion is the version of the state's format.
const StateVersion = 1

// Phase is where a rollout is.
type Phase string

// The phases (PEERS.md §5). Failed means that it could not be taken back and needs a person.
const (
	Pending          Phase = "Pending"
	Validating       Phase = "Validating"
	AwaitingApproval Phase = "AwaitingApproval"
	Progressing      Phase = "Progressing"
	Paused           Phase = "Paused"
	Baking           Phase = "Baking"
	Folding          Phase = "Folding"
	Succeeded        Phase = "Succeeded"
	RollingBack      Phase = "RollingBack"
	RolledBack       Phase = "RolledBack"
	Failed           Phase = "Failed"
	Superseded       Phase = "Superseded"
)

// Ended tells whether nothing is left to do.
func (p Phase) Ended() bool {
	switch p {
	case "", Succeeded, RolledBack, Superseded:
		return true
	}
	return false
}

// Cause is why a rollout is taken back or paused; it decides the exit code.
type Cause string

// The causes.
const (
	CauseBreach       Cause = "breach"       // a Fail verdict, or proxies that refuse the configuration: exit 4
	CausePerson       Cause = "person"       // abort or a signal: exit 5
	CauseTimeout      Cause = "timeout"      // proxies that do not take it: exit 6
	CauseInconclusive Cause = "inconclusive" // no verdict, or nothing to judge by: exit 6
	CauseEdited       Cause = "edited"       // somebody changed a touched object: exit 6
	CauseLocked       Cause = "locked"       // an object belongs to another rollout: exit 7
	CauseInternal     Cause = "internal"     // an error of ours or of the cluster: exit 1
)

// Touched is an object that the rollout has written or is about to write.
type Touched struct {
	Ref
	// Absent says that it did not exist before.
	Absent bool `json:"absent,omitempty"`
	// Spec is the hash of the spec that we wrote last (or are about to write), as the API server stores it; empty where
	// we deleted it.
	Spec string `json:"spec,omitempty"`
	// Ours says that a write of ours was proved on it. An object without it that does not bear our mark either was
	// never written by this rollout: on the way back it is somebody else's.
	Ours bool `json:"ours,omitempty"`
	// Back says that it was brought back and that this was proved.
	Back bool `json:"back,omitempty"`
}

// StepResult is what a finished step came to.
type StepResult struct {
	Name      string            `json:"name"`
	Judgement metrics.Judgement `json:"judgement"`
	// Proxies that confirmed the last write of the step, and the seconds it took.
	Confirmed int     `json:"confirmed"`
	Barrier   float64 `json:"barrierSeconds"`
}

// State is everything that a run must know to go on, whoever goes on.
type State struct {
	Version int `json:"version"`
	// Name is the rollout's name, Target what it acts on, Policies what it brings into force.
	Name     string        `json:"name"`
	Target   policy.Target `json:"target"`
	Policies []policy.Key  `json:"policies,omitempty"`
	Strategy string        `json:"strategy"`
	Rev      string        `json:"rev"`
	Digest   string        `json:"digest"`
	// Revision is the record in the archive that holds documents and base.
	Revision int64 `json:"revision"`

	Phase Phase `json:"phase"`
	// Step is the index of the step; Steps how many there are; Stage how many of its writes are proved.
	Step  int `json:"step"`
	Steps int `json:"steps"`
	Stage int `json:"stage"`
	// Written tells that the write of stage Stage is in place and its proof is open.
	Written bool `json:"written,omitempty"`
	// Holding tells that the step's writes are all proved and it is being judged since Since.
	Holding bool      `json:"holding,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// PauseUntil is when a pause ends by itself; PausePassed is the step after the last one whose pause is over.
	PauseUntil  time.Time `json:"pauseUntil,omitzero"`
	PausePassed int       `json:"pausePassed,omitempty"`
	// Exposed says how much of the new policy is in force, by what was written last: "1 % of requests"; empty once the
	// rollout is over or the new policy is out.
	Exposed string `json:"exposed,omitempty"`
	// Undo counts the finished acts of taking back: neutralised, proved, tidied.
	Undo int `json:"undo,omitempty"`
	// Cause and Reason say why it is paused, taken back or failed.
	Cause  Cause  `json:"cause,omitempty"`
	Reason string `json:"reason,omitempty"`

	Touched []Touched `json:"touched,omitempty"`
	// Forms gives for the hash of a spec as we send it the hash of what the API server makes of it (defaults filled in),
	// where the two differ. The rehearsal learns them.
	Forms map[string]string `json:"forms,omitempty"`
	// Instances are pods ("namespace/pod") that bear the cohort label, for people: the labels themselves are what counts.
	Instances []string `json:"instances,omitempty"`
	// Callers are the workloads ("namespace/workload") known to call the target; a pod's own name does as well.
	Callers []string `json:"callers,omitempty"`

	// Judge is the judge's score, Tick the end of the last interval in it, Seen the end of the last one with data.
	Judge metrics.State `json:"judge,omitzero"`
	Tick  time.Time     `json:"tick,omitzero"`
	Seen  time.Time     `json:"seen,omitzero"`
	// Resumes counts the times a person went on after the judge had found harm: its score begins anew each time.
	Resumes int `json:"resumes,omitempty"`
	// Polled is when the source was last asked, whether it answered or not.
	Polled time.Time `json:"polled,omitzero"`

	// Trip is the tripwire's score, TripBase the error rate of the old policy in step 0.
	Trip     metrics.TripState `json:"trip,omitzero"`
	TripBase float64           `json:"tripBase,omitempty"`

	Results []StepResult `json:"results,omitempty"`
	// Decided is the step and the judgement that it was paused or taken back for; nil where something else was the cause.
	Decided  *StepResult `json:"decided,omitempty"`
	Started  time.Time   `json:"started"`
	Updated  time.Time   `json:"updated"`
	Deadline time.Time   `json:"deadline"`
	// Before are the last rollouts of the target, as far as a history may reach back to them.
	Before []metrics.Span `json:"before,omitempty"`
	// Request is what a person asked for from outside: pause, resume, promote, abort.
	Request string `json:"request,omitempty"`
	// Fence grows with every takeover.
	Fence int64 `json:"fence"`
}
