package referee_test

import (
	"bytes"
	"encoding/json"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// epoch is the second in which the tests happen.
var epoch = time.Unix(1_700_000_000, 0)

// at is a request sent so long after the epoch.
func at(after time.Duration, outcome referee.Outcome, cohort referee.Cohort) referee.Record {
	return referee.Record{Due: epoch.Add(after).UnixMicro(), Outcome: outcome, Cohort: cohort, Server: referee.NoServer}
}

func windows() *rapid.Generator[referee.Window] {
	return rapid.Custom(func(t *rapid.T) referee.Window {
		return referee.Window{
			Start: rapid.IntRange(0, 4095).Draw(t, "start"),
			Width: rapid.IntRange(0, 4096).Draw(t, "width"),
		}
	})
}

// records are those of a client that knows so many servers and paths.
func records(servers, paths int) *rapid.Generator[referee.Record] {
	outcomes := rapid.OneOf(
		rapid.Map(rapid.IntRange(100, 599), func(n int) referee.Outcome { return referee.Outcome(n) }),
		rapid.Map(rapid.Uint32Range(0, 16), referee.GRPC),
		rapid.Map(rapid.IntRange(1, int(referee.Stopped)), func(n int) referee.Outcome { return referee.Outcome(n) }),
	)
	return rapid.Custom(func(t *rapid.T) referee.Record {
		server := uint16(rapid.IntRange(0, servers).Draw(t, "server"))
		if int(server) == servers {
			server = referee.NoServer
		}
		return referee.Record{
			Due:             epoch.UnixMicro() + rapid.Int64Range(-5e6, 20e6).Draw(t, "due"),
			Lag:             rapid.Uint32Range(0, 3e6).Draw(t, "lag"),
			Latency:         rapid.Uint32().Draw(t, "latency"),
			ExpectedTimeout: rapid.Uint32().Draw(t, "timeout"),
			Outcome:         outcomes.Draw(t, "outcome"),
			Cohort:          referee.Cohort(rapid.IntRange(-1, 4095).Draw(t, "cohort")),
			Server:          server,
			Path:            uint8(rapid.IntRange(0, paths-1).Draw(t, "path")),
			Attempt:         rapid.Byte().Draw(t, "attempt"),
			Flags:           referee.Flags(rapid.IntRange(0, 7).Draw(t, "flags")),
		}
	})
}

// stream encodes a batch the way a generator does.
func stream(b referee.Batch) []byte {
	var out bytes.Buffer
	// A Header holds nothing that JSON refuses.
	_ = json.NewEncoder(&out).Encode(b.Header)
	for _, r := range b.Records {
		out.Write(referee.AppendRecord(nil, r))
	}
	return out.Bytes()
}
