package xds

import (
	"bytes"
	"fmt"
	"io"
)

const scanChunk = 64 << 10

// Scan tells which of the texts occur in what r gives, without keeping it: a configuration dump may be many megabytes.
// It reads to the end unless all texts were seen.
func Scan(r io.Reader, texts []string) ([]bool, error) {
	found := make([]bool, len(texts))
	keep := 0
	for i, t := range texts {
		found[i] = t == ""
		keep = max(keep, len(t)-1)
	}
	buf := make([]byte, 0, keep+scanChunk)
	for {
		n, err := r.Read(buf[len(buf) : len(buf)+scanChunk])
		buf = buf[:len(buf)+n]
		if mark(found, texts, buf) {
			return found, nil
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a proxy's configuration: %w", err)
		}
		// A text may begin at the end of this piece and end in the next one.
		tail := min(keep, len(buf))
		copy(buf, buf[len(buf)-tail:])
		buf = buf[:tail]
	}
}

// mark notes which texts are in a piece, and tells whether all have been seen.
func mark(found []bool, texts []string, piece []byte) bool {
	all := true
	for i, t := range texts {
		found[i] = found[i] || bytes.Contains(piece, []byte(t))
		all = all && found[i]
	}
	return all
}
