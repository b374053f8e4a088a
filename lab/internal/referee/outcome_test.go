package referee_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// everyOutcome is all outcomes that exist.
func everyOutcome() []referee.Outcome {
	var out []referee.Outcome
	for o := referee.Outcome(0); o < 2000; o++ {
		if o.Known() {
			out = append(out, o)
		}
	}
	return out
}

func TestOutcomesHaveOneNameEach(t *testing.T) {
	all := everyOutcome()
	if len(all) != 524 {
		t.Fatalf("%d outcomes, want 500 statuses, 17 of gRPC and 7 classes", len(all))
	}
	seen := map[string]bool{}
	for _, o := range all {
		if seen[o.String()] {
			t.Errorf("two outcomes are called %q", o)
		}
		seen[o.String()] = true
		var back referee.Outcome
		if err := back.UnmarshalText([]byte(o.String())); err != nil || back != o {
			t.Errorf("%q reads back as %d, %v; want %d", o, back, err, o)
		}
		if o.Answered() == (o.Failed() || o == referee.Stopped) {
			t.Errorf("%q is answered and an error class, or neither", o)
		}
	}
}

func TestOutcomesAreKeysInJSON(t *testing.T) {
	in := map[referee.Outcome]int{200: 3, referee.Reset: 1}
	data, err := json.Marshal(in)
	if err != nil || string(data) != `{"200":3,"reset":1}` {
		t.Fatalf("Marshal = %s, %v", data, err)
	}
	if err := json.Unmarshal([]byte(`{"600":1}`), &in); err == nil {
		t.Error("status 600 was read")
	}
}

// serverFaults are the statuses of gRPC that blame the server.
func serverFaults() []referee.Outcome {
	var out []referee.Outcome
	for _, code := range []codes.Code{
		codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss,
	} {
		out = append(out, referee.GRPC(uint32(code)))
	}
	return out
}

func TestBad(t *testing.T) {
	for _, o := range everyOutcome() {
		want := (o >= 500 && o < 1000) || (o < 100 && o != referee.Stopped) || slices.Contains(serverFaults(), o)
		if got := referee.Bad(referee.Record{Outcome: o}); got != want {
			t.Errorf("Bad(%s) = %t", o, got)
		}
	}
}

func TestParseBad(t *testing.T) {
	classes := []referee.Outcome{
		referee.Reset, referee.Timeout, referee.Refused, referee.EOF, referee.DNS, referee.Other,
	}
	for list, want := range map[string][]referee.Outcome{
		"504":                 {504},
		"grpc-0,GRPC-14":      {referee.GRPC(0), referee.GRPC(14)},
		"grpc":                serverFaults(),
		"504, reset":          {referee.Reset, 504},
		"error":               classes,
		"Timeout,403,stopped": {referee.Timeout, referee.Stopped, 403},
	} {
		bad, err := referee.ParseBad(list)
		if err != nil {
			t.Fatalf("ParseBad(%q): %v", list, err)
		}
		for _, o := range everyOutcome() {
			if got := bad(referee.Record{Outcome: o}); got != slices.Contains(want, o) {
				t.Errorf("%q picks %s: %t", list, o, got)
			}
		}
	}
}

func TestParseBadClasses(t *testing.T) {
	bad, err := referee.ParseBad("5xx,4XX")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range everyOutcome() {
		if got := bad(referee.Record{Outcome: o}); got != (o >= 400 && o < 1000) {
			t.Errorf("5xx,4XX picks %s: %t", o, got)
		}
	}
}

func TestParseBadRefuses(t *testing.T) {
	for _, list := range []string{"", "504,", "600", "99", "6xx", "0xx", "code>=500", "5x", "reset;504", "grpc-17", "grpc-", "grpc-x", "1014"} {
		if _, err := referee.ParseBad(list); err == nil || !strings.Contains(err.Error(), "allowed") {
			t.Errorf("ParseBad(%q): %v; want an error that says what is allowed", list, err)
		}
	}
}
