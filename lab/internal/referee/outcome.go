package referee

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Outcome is how a request ended for its client: an HTTP status (100 and more) or an error class (less than 100).
type Outcome uint16

// The error classes.
const (
	// Reset is a connection reset or a broken pipe.
	Reset Outcome = iota + 1
	// Timeout is the client's own time limit.
	Timeout
	// Refused is a refused connection.
	Refused
	// EOF is a connection closed before the answer was complete.
	EOF
	// DNS is a name that did not resolve.
	DNS
	// Other is any other error; the generator's progress keeps the text of the last one.
	Other
	// Stopped is a request that the generator cut off because it was told to stop. It is never harm.
	Stopped
)

var classNames = [...]string{
	Reset: "reset", Timeout: "timeout", Refused: "refused", EOF: "eof", DNS: "dns", Other: "other", Stopped: "stopped",
}

// Known tells whether o is a status from 100 to 599 or one of the classes.
func (o Outcome) Known() bool { return (o >= 100 && o <= 599) || (o >= Reset && o <= Stopped) }

// Answered tells whether a complete answer came.
func (o Outcome) Answered() bool { return o >= 100 }

// Failed tells whether the request ended in an error class other than [Stopped].
func (o Outcome) Failed() bool { return o >= Reset && o < Stopped }

// String is the status as a number or the name of the class.
func (o Outcome) String() string {
	if o >= Reset && o <= Stopped {
		return classNames[o]
	}
	return strconv.Itoa(int(o))
}

// MarshalText writes what String says, so that outcomes can be the keys of a JSON object.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Outcome) UnmarshalText(text []byte) error {
	parsed, ok := parseOutcome(string(text))
	if !ok {
		return fmt.Errorf("reading outcome %q: allowed: 100 to 599, %s", text, strings.Join(classNames[1:], ", "))
	}
	*o = parsed
	return nil
}

func parseOutcome(text string) (Outcome, bool) {
	if i := slices.Index(classNames[1:], text); i >= 0 {
		return Outcome(i + 1), true
	}
	code, err := strconv.Atoi(text)
	return Outcome(code), err == nil && code >= 100 && code <= 599
}

// Predicate picks records.
type Predicate func(Record) bool

// Bad is the usual meaning of harm: a 5xx answer or an error.
func Bad(r Record) bool { return r.Outcome.Failed() || r.Outcome >= 500 }

// ParseBad reads a comma list of statuses ("504"), status classes ("5xx"), error classes ("reset") and "error", which
// stands for every error class but "stopped".
func ParseBad(list string) (Predicate, error) {
	var picks []func(Outcome) bool
	for item := range strings.SplitSeq(list, ",") {
		pick, err := parsePick(strings.ToLower(strings.TrimSpace(item)))
		if err != nil {
			return nil, err
		}
		picks = append(picks, pick)
	}
	return func(r Record) bool {
		return slices.ContainsFunc(picks, func(pick func(Outcome) bool) bool { return pick(r.Outcome) })
	}, nil
}

func parsePick(item string) (func(Outcome) bool, error) {
	if item == "error" {
		return Outcome.Failed, nil
	}
	if len(item) == 3 && item[1:] == "xx" && item[0] >= '1' && item[0] <= '5' {
		hundred := Outcome(item[0] - '0')
		return func(o Outcome) bool { return o/100 == hundred }, nil
	}
	if want, ok := parseOutcome(item); ok {
		return func(o Outcome) bool { return o == want }, nil
	}
	return nil, fmt.Errorf("reading what counts as bad: %q: allowed, separated by commas: a status (504), "+
		"a class of statuses (5xx), error, %s", item, strings.Join(classNames[1:], ", "))
}
