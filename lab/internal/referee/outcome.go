package referee

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Outcome is how a request ended for its client: an HTTP status (100 to 599), the status of a gRPC call (1000 and more) or
// an error class (less than 100).
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

// grpcOK is the outcome of a gRPC call without error; the other statuses follow in gRPC's order, as far as lastGRPC.
const (
	grpcOK     Outcome = 1000
	lastGRPC   Outcome = grpcOK + 16
	grpcPrefix         = "grpc-"
)

// GRPC is the outcome of a gRPC call that was answered with a status, 0 to 16; others become 2, UNKNOWN.
func GRPC(status uint32) Outcome {
	if status > uint32(lastGRPC-grpcOK) {
		status = 2
	}
	return grpcOK + Outcome(status)
}

// Known tells whether o is a status from 100 to 599, a status of gRPC or one of the classes.
func (o Outcome) Known() bool {
	return (o >= 100 && o <= 599) || (o >= grpcOK && o <= lastGRPC) || (o >= Reset && o <= Stopped)
}

// serverFault tells whether the answer blames the server: 5xx, and of gRPC UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
// INTERNAL, UNAVAILABLE and DATA_LOSS.
func (o Outcome) serverFault() bool { return (o >= 500 && o <= 599) || o.grpcFault() }

func (o Outcome) grpcFault() bool {
	return slices.Contains([]Outcome{GRPC(2), GRPC(4), GRPC(12), GRPC(13), GRPC(14), GRPC(15)}, o)
}

// Answered tells whether a complete answer came.
func (o Outcome) Answered() bool { return o >= 100 }

// Failed tells whether the request ended in an error class other than [Stopped].
func (o Outcome) Failed() bool { return o >= Reset && o < Stopped }

// String is the status as a number, "grpc-" and the status of gRPC, or the name of the class.
func (o Outcome) String() string {
	if o >= grpcOK && o <= lastGRPC {
		return grpcPrefix + strconv.Itoa(int(o-grpcOK))
	}
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
		return fmt.Errorf("reading outcome %q: allowed: 100 to 599, grpc-0 to grpc-16, %s", text, strings.Join(classNames[1:], ", "))
	}
	*o = parsed
	return nil
}

func parseOutcome(text string) (Outcome, bool) {
	if i := slices.Index(classNames[1:], text); i >= 0 {
		return Outcome(i + 1), true
	}
	if number, ok := strings.CutPrefix(text, grpcPrefix); ok {
		status, err := strconv.ParseUint(number, 10, 8)
		return GRPC(uint32(status)), err == nil && status <= uint64(lastGRPC-grpcOK)
	}
	code, err := strconv.Atoi(text)
	return Outcome(code), err == nil && code >= 100 && code <= 599
}

// Predicate picks records.
type Predicate func(Record) bool

// Bad is the usual meaning of harm: an answer that blames the server, or an error.
func Bad(r Record) bool { return r.Outcome.Failed() || r.Outcome.serverFault() }

// ParseBad reads a comma list of statuses ("504"), status classes ("5xx"), statuses of gRPC ("grpc-14"), error classes
// ("reset"), "error", which stands for every error class but "stopped", and "grpc" for the statuses that blame the server.
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
	if item == "grpc" {
		return Outcome.grpcFault, nil
	}
	if len(item) == 3 && item[1:] == "xx" && item[0] >= '1' && item[0] <= '5' {
		hundred := Outcome(item[0] - '0')
		return func(o Outcome) bool { return o/100 == hundred }, nil
	}
	if want, ok := parseOutcome(item); ok {
		return func(o Outcome) bool { return o == want }, nil
	}
	return nil, fmt.Errorf("reading what counts as bad: %q: allowed, separated by commas: a status (504), "+
		"a class of statuses (5xx), grpc-14, grpc, error, %s", item, strings.Join(classNames[1:], ", "))
}
