package referee_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

func TestRecordsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := records(9, 256).Draw(t, "record")
		b := referee.AppendRecord(nil, want)
		if len(b) != referee.RecordSize {
			t.Fatalf("%d bytes, want %d", len(b), referee.RecordSize)
		}
		got, err := referee.DecodeRecord(b)
		if err != nil || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestDecodeRecordNeverInvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		r, err := referee.DecodeRecord(b)
		if err == nil && !bytes.Equal(referee.AppendRecord(nil, r)[:31], b[:31]) {
			t.Fatalf("%x decodes as %+v, which is not the same", b, r)
		}
	})
}

func TestDecodeRecordRefuses(t *testing.T) {
	good := at(0, 200, 7)
	for name, spoil := range map[string]func(*referee.Record){
		"outcome": func(r *referee.Record) { r.Outcome = 0 },
		"status":  func(r *referee.Record) { r.Outcome = 600 },
		"class":   func(r *referee.Record) { r.Outcome = referee.Stopped + 1 },
		"cohort":  func(r *referee.Record) { r.Cohort = 4096 },
		"below":   func(r *referee.Record) { r.Cohort = -2 },
		"flags":   func(r *referee.Record) { r.Flags = 8 },
	} {
		bad := good
		spoil(&bad)
		if _, err := referee.DecodeRecord(referee.AppendRecord(nil, bad)); err == nil {
			t.Errorf("%s: %+v was decoded", name, bad)
		}
	}
	if _, err := referee.DecodeRecord(make([]byte, 31)); err == nil {
		t.Error("31 bytes were decoded")
	}
}

func TestRecordTimes(t *testing.T) {
	r := referee.Record{Due: epoch.UnixMicro(), Lag: 1500, Latency: 20_000}
	if got := r.Start().Sub(epoch); got != 1500*time.Microsecond {
		t.Errorf("starts after %s", got)
	}
	if got := r.End().Sub(epoch); got != 21_500*time.Microsecond {
		t.Errorf("ends after %s", got)
	}
	if r.FromStart() != 20*time.Millisecond || r.FromDue() != 21_500*time.Microsecond {
		t.Errorf("latencies %s and %s", r.FromStart(), r.FromDue())
	}
	full := referee.Record{Lag: 1<<32 - 1, Latency: 1<<32 - 1}
	if got := full.FromDue(); got != 2*(1<<32-1)*time.Microsecond {
		t.Errorf("the largest latency from due is %s", got)
	}
}

func TestMicrosSaturates(t *testing.T) {
	for in, want := range map[time.Duration]uint32{
		-time.Second: 0, 0: 0, 1999: 1, time.Second: 1e6, 100 * time.Hour: 1<<32 - 1,
	} {
		if got := referee.Micros(in); got != want {
			t.Errorf("Micros(%s) = %d, want %d", in, got, want)
		}
	}
}

func batches() *rapid.Generator[referee.Batch] {
	return rapid.Custom(func(t *rapid.T) referee.Batch {
		b := referee.Batch{
			Header: referee.Header{
				Format: referee.Format, Client: "web-0", Run: "1", From: rapid.Uint64Range(0, 9).Draw(t, "from"),
				Servers: []referee.Server{{Pod: "a", Version: "v1"}, {Pod: "b", Version: "v2"}}, Paths: []string{"/", "/x"},
			},
			Records: rapid.SliceOfN(records(2, 2), 1, 30).Draw(t, "records"),
		}
		b.Header.Next = b.Header.From + uint64(len(b.Records))
		return b
	})
}

func TestBatchesSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := batches().Draw(t, "batch")
		wire := stream(want)
		got, err := referee.ReadBatch(bytes.NewReader(wire))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		cut := rapid.IntRange(0, len(wire)-1).Draw(t, "cut")
		if _, err := referee.ReadBatch(bytes.NewReader(wire[:cut])); err == nil {
			t.Fatalf("a stream cut after %d of %d bytes was read", cut, len(wire))
		}
		if _, err := referee.ReadBatch(bytes.NewReader(append(wire, 0))); err == nil {
			t.Fatal("a stream with one byte too many was read")
		}
	})
}

func TestReadBatchRefuses(t *testing.T) {
	header := referee.Header{
		Format: referee.Format, Next: 1, Servers: []referee.Server{{Pod: "a"}}, Paths: []string{"/"},
	}
	good := at(0, 200, 7)
	for name, spoil := range map[string]func(*referee.Header, *referee.Record){
		"format is":        func(h *referee.Header, _ *referee.Record) { h.Format = "shop-records/2" },
		"before from":      func(h *referee.Header, _ *referee.Record) { h.From, h.Next = 2, 1 },
		"server is 1":      func(_ *referee.Header, r *referee.Record) { r.Server = 1 },
		"path is 1":        func(_ *referee.Header, r *referee.Record) { r.Path = 1 },
		"client is 1":      func(_ *referee.Header, r *referee.Record) { r.Client = 1 },
		"outcome is 0":     func(_ *referee.Header, r *referee.Record) { r.Outcome = 0 },
		"longer than":      func(h *referee.Header, _ *referee.Record) { h.Paths = []string{strings.Repeat("x", 9<<20)} },
		"more bytes after": func(h *referee.Header, _ *referee.Record) { h.Next = 0 },
	} {
		h, r := header, good
		spoil(&h, &r)
		_, err := referee.ReadBatch(bytes.NewReader(stream(referee.Batch{Header: h, Records: []referee.Record{r}})))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
}

func FuzzReadBatch(f *testing.F) {
	f.Add(stream(referee.Batch{
		Header:  referee.Header{Format: referee.Format, Next: 1, Paths: []string{"/"}},
		Records: []referee.Record{at(0, 200, 7)},
	}))
	f.Add([]byte(`{"format":"shop-records/1","next":18446744073709551615}` + "\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		batch, err := referee.ReadBatch(bytes.NewReader(wire))
		if err == nil && uint64(len(batch.Records)) != batch.Header.Next-batch.Header.From {
			t.Fatalf("%d records of %d to %d", len(batch.Records), batch.Header.From, batch.Header.Next)
		}
	})
}
