package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ConflictError says that somebody else changed an object between our read and our write.
type ConflictError struct {
	Ref Ref
	Err error
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("writing %s: somebody else changed it meanwhile: %v", e.Ref, e.Err)
}

// Unwrap is the API server's error.
func (e *ConflictError) Unwrap() error { return e.Err }

// RefusedError says that the API server, a webhook or the cluster's rights refused a write.
type RefusedError struct {
	Ref Ref
	// Forbidden is set where rights are missing.
	Forbidden bool
	Err       error
}

func (e *RefusedError) Error() string { return fmt.Sprintf("writing %s: %v", e.Ref, e.Err) }

// Unwrap is the API server's error.
func (e *RefusedError) Unwrap() error { return e.Err }

// LockedError says that another runner holds the target; exit code 7.
type LockedError struct {
	What    string
	Holder  string
	Renewed time.Time
	Next    string
}

func (e *LockedError) Error() string {
	s := fmt.Sprintf("%s is locked by %s", e.What, e.Holder)
	if !e.Renewed.IsZero() {
		s += " (last sign of life " + e.Renewed.UTC().Format(time.RFC3339) + ")"
	}
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

// LockedNext says what to do about a lock that a live runner holds.
func LockedNext(s State) string {
	if s.Name == "" {
		return "wait for it, or see meshpol status"
	}
	name := s.Name + " -n " + s.Target.Namespace
	return fmt.Sprintf("wait for it, or stop it with: meshpol rollout abort %s; only where its runner hangs: meshpol rollout resume %s --take-over \"WHY\"", name, name)
}

// MarkedError says that an object bears the mark of another live rollout; exit code 7.
type MarkedError struct {
	Ref   Ref
	Other string
}

func (e *MarkedError) Error() string {
	return fmt.Sprintf("%s belongs to rollout %s at the moment; wait for its end, or see meshpol status", e.Ref, e.Other)
}

// ErrNoRecord says that somebody has deleted the record of a rollout. What it did stands; it can no longer be taken back.
var ErrNoRecord = errors.New("the record is gone")

// UnfinishedError says that a target has a rollout that nobody has ended; exit code 7.
type UnfinishedError struct{ State State }

func (e *UnfinishedError) Error() string {
	s := e.State
	return fmt.Sprintf("rollout %s on %s is unfinished (%s, step %d of %d); go on with: meshpol rollout resume %s -n %s, or take it back with: meshpol rollback %s -n %s",
		s.Name, s.Target, s.Phase, s.Step+1, s.Steps, s.Name, s.Target.Namespace, s.Name, s.Target.Namespace)
}

// StragglersError says that some proxies did not take a change in time.
type StragglersError struct{ Proof Proof }

func (e *StragglersError) Error() string {
	return fmt.Sprintf("%d of %d proxies hold the change; missing: %s", e.Proof.Confirmed, e.Proof.Concerned, some(e.Proof.Stragglers))
}

// RejectedError says that proxies refused a change, with Envoy's own words.
type RejectedError struct{ Proof Proof }

func (e *RejectedError) Error() string {
	r := e.Proof.Rejected[0]
	return fmt.Sprintf("%d proxies refused the configuration; %s says: %s", len(e.Proof.Rejected), r.Proxy, firstWords(r.Message))
}

// maxWords bounds what is repeated of Envoy's words: the whole refused configuration follows them.
const maxWords = 400

// firstWords is the first line of a message, shortened.
func firstWords(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if len(line) > maxWords {
		return strings.ToValidUTF8(line[:maxWords], "") + " …"
	}
	return line
}

// some lists at most five names.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}
