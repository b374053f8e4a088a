package referee

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Format names the stream that [ReadBatch] reads: one line of JSON (the [Header]), then the records.
const Format = "shop-records/1"

// maxHeader bounds the header line: 65,534 servers of some 100 bytes.
const maxHeader = 8 << 20

// Server is one server pod that answered.
type Server struct {
	Pod     string `json:"pod"`
	Version string `json:"version"`
}

// Header says what the records of a batch refer to.
type Header struct {
	// Format is always [Format].
	Format string `json:"format"`
	// Client is the name of the client pod.
	Client string `json:"client"`
	// Run names the load run. Another run starts its records from 0.
	Run string `json:"run"`
	// From and Next are the sequence numbers of the first record here and of the one after the last.
	From uint64 `json:"from"`
	Next uint64 `json:"next"`
	// Lost is the number of records asked for that the client no longer had, because its memory is bounded.
	Lost uint64 `json:"lost"`
	// Servers and Paths are what the indices of the records mean.
	Servers []Server `json:"servers"`
	Paths   []string `json:"paths"`
}

// Batch is what one client pod told.
type Batch struct {
	Header  Header
	Records []Record
}

// ReadBatch reads one whole stream. A stream that is too short, too long or says what cannot be is refused.
func ReadBatch(r io.Reader) (Batch, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	header, err := readHeader(buffered)
	if err != nil {
		return Batch{}, fmt.Errorf("reading the header of a stream of records: %w", err)
	}
	batch := Batch{Header: header}
	var raw [RecordSize]byte
	for n := header.From; n < header.Next; n++ {
		if _, err := io.ReadFull(buffered, raw[:]); err != nil {
			return Batch{}, fmt.Errorf("reading record %d of %d of client %q: %w", n, header.Next, header.Client, err)
		}
		record, err := DecodeRecord(raw[:])
		if err == nil {
			err = header.covers(record)
		}
		if err != nil {
			return Batch{}, fmt.Errorf("reading record %d of client %q: %w", n, header.Client, err)
		}
		batch.Records = append(batch.Records, record)
	}
	if _, err := buffered.ReadByte(); !errors.Is(err, io.EOF) {
		return Batch{}, fmt.Errorf("reading records of client %q: more bytes after record %d than announced",
			header.Client, header.Next)
	}
	return batch, nil
}

func readHeader(r *bufio.Reader) (Header, error) {
	var header Header
	line, err := readLine(r)
	if err != nil {
		return header, err
	}
	if err := json.Unmarshal(line, &header); err != nil {
		return header, err
	}
	if header.Format != Format {
		return header, fmt.Errorf("format is %q; allowed: %s", header.Format, Format)
	}
	if header.Next < header.From {
		return header, fmt.Errorf("next is %d, before from (%d)", header.Next, header.From)
	}
	return header, nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxHeader {
			return nil, fmt.Errorf("the first line is longer than %d bytes", maxHeader)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// covers tells whether the header knows the server and the path of a record.
func (h Header) covers(r Record) error {
	if r.Server != NoServer && int(r.Server) >= len(h.Servers) {
		return fmt.Errorf("server is %d; the header names %d", r.Server, len(h.Servers))
	}
	if int(r.Path) >= len(h.Paths) {
		return fmt.Errorf("path is %d; the header names %d", r.Path, len(h.Paths))
	}
	if r.Client != 0 {
		return fmt.Errorf("client is %d; allowed in a batch: 0", r.Client)
	}
	return nil
}
