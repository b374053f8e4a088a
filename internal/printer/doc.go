// Package printer renders findings, plans, events and status for people and for programs.
//
// # Output rules
//
// The answer of a command (findings, plan, status) goes to the writer given to New; the caller passes standard output.
// Events and errors are progress: the caller passes standard error. Nothing here opens a file, reads the environment
// or asks the terminal; colour, width and liveness are facts in Options.
//
// Piped event lines have stable columns: seven characters of time since the start, two spaces, a label of at least
// eight characters, two spaces, text. The labels are start, dry run, "step I/N", warning, paused, rollback, kept, done.
// One event may take several lines; each of them carries time and label, so that grep finds whole lines. On a terminal
// the same lines bear colour, and a judgement that is no verdict yet overwrites itself instead of scrolling.
//
// Numbers of requests have thousands separators, lengths of time at most two units, shares of errors a percent sign
// after a space. A share is never rounded to 0 or to 100 % unless it is exactly that.
//
// # JSON lines
//
// With -o jsonl an event is one JSON object on one line. The fields are an API, frozen by TestEventSchema: fields are
// added, never renamed or removed. Every line has
//
//	event    string   started, rehearsed, stepStarted, wrote, labelled, proved, judged, tripped, stepPassed,
//	                  paused, takingBack, neutralised, kept, ended, warned
//	at       string   RFC 3339, UTC
//	rollout  string   name of the rollout
//	target   object   {kind, namespace, name}
//
// and, by event, these (all lengths of time are seconds as numbers; a field marked ? may be left out):
//
//	started      digest, steps, resumed, notes?
//	rehearsed    writes, tookSeconds
//	stepStarted  index (from 0), steps, name, exposure {mode, by, share?, text}, reach?, asked?, again?
//	wrote        object {apiVersion, kind, namespace, name}, op (create, update, delete), why
//	labelled     pods, added
//	proved       proof {confirmed, concerned, unconcerned, tookSeconds, stragglers?, rejected? [{proxy, message}]}, why
//	judged       step, judgement {verdict, reason, new, old, elapsedSeconds, share, score?, bound?,
//	             slowBound?, ratio?, atLeast?, pause?, findings?, parts?};
//	             new and old are {requests, errors, refused?, codes?, timed?}; a part is {name, new {bad, of}, old,
//	             weight, score, without?, bound?, aboveMilliseconds?, shared?}
//	tripped      step, trip {tripped, pause?, score, reason, new {bad, of}, old}; new and old are those of the
//	             observation that tripped
//	stepPassed   step, judgement, requests? (sent to the API server since the step before ended)
//	paused       reason, exposed, next
//	takingBack   cause (breach, person, timeout, inconclusive, edited, locked, internal), reason
//	neutralised  proof, tookSeconds
//	kept         object, conflicts
//	ended        phase, cause?, reason, tookSeconds, next?, requestsByResource? (all that the command has sent to the
//	             API server, as numbers by verb and resource: {"get leases": 4})
//	warned       text
//
// # Documents
//
// With -o json or -o yaml, plans, status and findings are one document each: {"plans": […]}, {"rollouts": […]} and
// {"findings": […]}. Their fields are the json tags of PlanDocument, StatusDocument and FindingsDocument. The list of
// all codes is {"codes": […]}, ExplanationsDocument. Simulations are {"simulations": […]}, each a simulate.Report.
package printer
