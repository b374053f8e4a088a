package referee

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// RecordSize is the size of an encoded record in bytes.
const RecordSize = 32

// NoServer is the server index of a request that no shop pod answered: an error, or an answer made by a proxy.
const NoServer = math.MaxUint16

// Flags are facts about a request that change no outcome.
type Flags uint8

// The flags.
const (
	// Resent: the connection was gone before one byte of the request was written, and the request was sent again on
	// another one, as any HTTP client does.
	Resent Flags = 1 << iota
	// IDChanged: the server received an id of another cohort than the one the client sent.
	IDChanged
	// Stale: the error came on a reused connection before the first byte of an answer. The client saw it; a client that
	// repeats idempotent requests by itself would have hidden it.
	Stale
)

const allFlags = Resent | IDChanged | Stale

// Record is what the client saw of one request, 32 bytes in memory and on the wire.
type Record struct {
	// Due is when the schedule wanted the request sent, in Unix microseconds.
	Due int64
	// Lag is how much later than Due it was sent, in microseconds.
	Lag uint32
	// Latency is from being sent to the end of the answer or the error, in microseconds.
	Latency uint32
	// ExpectedTimeout is x-envoy-expected-rq-timeout-ms as the server received it; 0 when it was not there.
	ExpectedTimeout uint32
	// Outcome is the status of HTTP or gRPC or the error class.
	Outcome Outcome
	// Cohort is the place of the request's id on the ring, or Unknown.
	Cohort Cohort
	// Server is an index into the servers of its batch or log, or NoServer.
	Server uint16
	// Client is an index into the clients of its log; 0 in a batch.
	Client uint16
	// Path is an index into the paths of its batch or log.
	Path uint8
	// Attempt is x-envoy-attempt-count as the server received it; 0 when it was not there.
	Attempt uint8
	// Flags are the remarks.
	Flags Flags
}

// Start is the moment the request was really sent.
func (r Record) Start() time.Time { return time.UnixMicro(r.startMicros()) }

func (r Record) startMicros() int64 { return r.Due + int64(r.Lag) }

// End is the moment the answer was complete or the error came.
func (r Record) End() time.Time { return time.UnixMicro(r.startMicros() + int64(r.Latency)) }

// FromStart is the latency counted from the moment the request was sent.
func (r Record) FromStart() time.Duration { return time.Duration(r.Latency) * time.Microsecond }

// FromDue is the latency counted from the moment the schedule wanted it: what a user would have waited. It does not
// look better when the generator itself was late (coordinated omission).
func (r Record) FromDue() time.Duration {
	return time.Duration(int64(r.Lag)+int64(r.Latency)) * time.Microsecond
}

// Micros fits a duration into the 32 bits of a record; what does not fit is cut to the nearest limit.
func Micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}

// AppendRecord encodes r at the end of b.
func AppendRecord(b []byte, r Record) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(r.Due))
	b = le.AppendUint32(b, r.Lag)
	b = le.AppendUint32(b, r.Latency)
	b = le.AppendUint32(b, r.ExpectedTimeout)
	b = le.AppendUint16(b, uint16(r.Outcome))
	b = le.AppendUint16(b, uint16(r.Cohort))
	b = le.AppendUint16(b, r.Server)
	b = le.AppendUint16(b, r.Client)
	return append(b, r.Path, r.Attempt, byte(r.Flags), 0)
}

// DecodeRecord reads the first record of b and refuses what no generator writes.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) < RecordSize {
		return Record{}, fmt.Errorf("decoding a record: %d bytes; need %d", len(b), RecordSize)
	}
	le := binary.LittleEndian
	r := Record{
		Due:             int64(le.Uint64(b)),
		Lag:             le.Uint32(b[8:]),
		Latency:         le.Uint32(b[12:]),
		ExpectedTimeout: le.Uint32(b[16:]),
		Outcome:         Outcome(le.Uint16(b[20:])),
		Cohort:          Cohort(le.Uint16(b[22:])),
		Server:          le.Uint16(b[24:]),
		Client:          le.Uint16(b[26:]),
		Path:            b[28],
		Attempt:         b[29],
		Flags:           Flags(b[30]),
	}
	return r, r.validate()
}

func (r Record) validate() error {
	if !r.Outcome.Known() {
		return fmt.Errorf("outcome is %d; allowed: 100 to 599, 1000 to 1016 (gRPC) or an error class 1 to %d", uint16(r.Outcome), Stopped)
	}
	if r.Cohort < Unknown || r.Cohort >= Cohorts {
		return fmt.Errorf("cohort is %d; allowed: -1 (unknown) to %d", r.Cohort, Cohorts-1)
	}
	if r.Flags > allFlags {
		return fmt.Errorf("flags are %#x; allowed: 0 to %#x", uint8(r.Flags), uint8(allFlags))
	}
	return nil
}
