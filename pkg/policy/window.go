package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Buckets is the number of values that the tail of a request id can have: three hex digits.
const Buckets = 4096

// Window is a set of request ids: those whose last three hex digits, read backwards (the last digit is the most
// significant), give one of Width consecutive values from Start on, on a ring of 4096.
type Window struct {
	Start int `json:"start"`
	Width int `json:"width"`
}

// NewWindow is the window of a share (0 to 1) of the requests; it starts at a hash of the seed, so that two rollouts
// do not pick the same requests, and it grows with the share: a wider window of the same seed contains a narrower one.
func NewWindow(seed string, share float64) Window {
	sum := sha256.Sum256([]byte(seed))
	start := int(binary.BigEndian.Uint32(sum[:4]) % Buckets)
	width := int(math.Round(share * Buckets))
	if width == 0 && share > 0 {
		width = 1
	}
	return Window{Start: start, Width: min(max(width, 0), Buckets)}
}

// Share is the share of request ids in the window, 0 to 1.
func (w Window) Share() float64 { return float64(w.Width) / Buckets }

// Contains tells whether a bucket (0 to 4095) is in the window.
func (w Window) Contains(bucket int) bool {
	return bucket >= 0 && (bucket-w.Start+Buckets)%Buckets < w.Width
}

// Bucket is the bucket of a request id, or -1 for an id that is not accepted (neither a UUID of version 4 or 7, with
// Envoy's trace marks 9, a and b in the version's place, nor 32 hex digits, in one case): such a request stays old.
func Bucket(id string) int {
	if !acceptedID(id) {
		return -1
	}
	value := 0
	for i := len(id) - 1; i >= len(id)-3; i-- {
		value = value<<4 | hexDigit(id[i])
	}
	return value
}

func acceptedID(id string) bool {
	switch len(id) {
	case 32:
		return allHex(id)
	case 36:
		return id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' &&
			strings.IndexByte("479abAB", id[14]) >= 0 && allHex(id[:8]+id[9:13]+id[14:18]+id[19:23]+id[24:])
	}
	return false
}

func allHex(s string) bool {
	for i := range len(s) {
		if hexDigit(s[i]) < 0 {
			return false
		}
	}
	return true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Suffixes is the shortest list of id endings (1 to 3 lower-case hex digits) that together are the window, sorted as
// the ring runs. An ending reads as the id is written: "3c" means ids that end in 3c.
func (w Window) Suffixes() []string {
	if w.Width >= Buckets {
		return []string{""}
	}
	var out []string
	for _, part := range w.parts() {
		out = append(out, coverRange(part[0], part[1])...)
	}
	return out
}

// parts cuts the window at the end of the ring into half-open ranges.
func (w Window) parts() [][2]int {
	end := w.Start + w.Width
	if end <= Buckets {
		return [][2]int{{w.Start, end}}
	}
	return [][2]int{{w.Start, Buckets}, {0, end - Buckets}}
}

// coverRange covers the half-open range with the largest aligned blocks of 256, 16 and 1 values.
func coverRange(from, to int) []string {
	var out []string
	for from < to {
		size, digits := 1, 3
		for _, s := range []struct{ size, digits int }{{256, 1}, {16, 2}} {
			if from%s.size == 0 && from+s.size <= to {
				size, digits = s.size, s.digits
				break
			}
		}
		out = append(out, suffix(from, digits))
		from += size
	}
	return out
}

// suffix writes the leading digits of a bucket the way an id ends: the most significant digit last.
func suffix(bucket, digits int) string {
	d := fmt.Sprintf("%03x", bucket)[:digits]
	b := []byte(d)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
