package metrics

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// errPacked is what a saved score is when its numbers cannot be a score's.
var errPacked = errors.New("the numbers are damaged")

// packedBytes is what a number takes: the upper three bytes of a float32, which loses 1/32,768 of it at the most.
const packedBytes = 3

// pack writes numbers rounded down: an e-process that only loses stays one. A score of 90 numbers takes 360 characters
// so, and a judge keeps some twenty.
func pack(numbers []float64) ([]byte, error) {
	raw := make([]byte, 0, packedBytes*len(numbers))
	for _, v := range numbers {
		bits := math.Float32bits(down(v))
		raw = append(raw, byte(bits>>24), byte(bits>>16), byte(bits>>8))
	}
	return json.Marshal(base64.RawStdEncoding.EncodeToString(raw))
}

// down is the largest float32 not above v whose last byte is 0.
func down(v float64) float32 {
	short := float32(v)
	if float64(short) > v {
		short = math.Nextafter32(short, float32(math.Inf(-1)))
	}
	bits := math.Float32bits(short)
	if v < 0 && bits&0xff != 0 {
		bits += 0x100 // away from 0 is down
	}
	return math.Float32frombits(bits &^ 0xff)
}

// unpack reads what pack wrote. least is what no number may be below.
func unpack(text []byte, least float64) ([]float64, error) {
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return nil, err
	}
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	if len(raw)%packedBytes != 0 {
		return nil, errPacked
	}
	out := make([]float64, 0, len(raw)/packedBytes)
	for ; len(raw) > 0; raw = raw[packedBytes:] {
		v := float64(math.Float32frombits(uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8))
		if math.IsNaN(v) || math.IsInf(v, 0) || v < least {
			return nil, errPacked
		}
		out = append(out, v)
	}
	return out, nil
}

// MarshalJSON implements json.Marshaler.
func (m mixture) MarshalJSON() ([]byte, error) { return pack(append([]float64{m.Rem}, m.A[:]...)) }

// UnmarshalJSON implements json.Unmarshaler.
func (m *mixture) UnmarshalJSON(text []byte) error {
	v, err := unpack(text, 0)
	if err != nil {
		return err
	}
	if len(v) != 1+len(m.A) {
		return errPacked
	}
	m.Rem = v[0]
	copy(m.A[:], v[1:])
	return nil
}

// MarshalJSON implements json.Marshaler.
func (e evidence) MarshalJSON() ([]byte, error) {
	v := append([]float64{e.All.Rem}, e.All.A[:]...)
	for i := range e.Skip {
		v = append(v, e.Skip[i][:]...)
	}
	return pack(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *evidence) UnmarshalJSON(text []byte) error {
	v, err := unpack(text, 0)
	if err != nil {
		return err
	}
	one := len(e.All.A)
	if len(v) < 1+one || (len(v)-1)%one != 0 || len(v) > 1+one*(1+maxStrata) {
		return errPacked
	}
	e.All.Rem, e.Skip = v[0], nil
	copy(e.All.A[:], v[1:])
	for v = v[1+one:]; len(v) > 0; v = v[one:] {
		e.Skip = append(e.Skip, [9]float64(v))
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (l ladder) MarshalJSON() ([]byte, error) {
	v := make([]float64, 0, len(l)*10)
	for _, m := range l {
		v = append(append(v, m.Rem), m.A[:]...)
	}
	return pack(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *ladder) UnmarshalJSON(text []byte) error {
	v, err := unpack(text, 0)
	if err != nil {
		return err
	}
	if len(v) != len(l)*10 {
		return errPacked
	}
	for i := range l {
		l[i].Rem = v[10*i]
		copy(l[i].A[:], v[10*i+1:])
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d downs) MarshalJSON() ([]byte, error) {
	v := make([]float64, 0, len(d)*4)
	for _, one := range d {
		v = append(v, one[:]...)
	}
	return pack(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *downs) UnmarshalJSON(text []byte) error {
	v, err := unpack(text, math.Inf(-1))
	if err != nil {
		return err
	}
	if len(v) != len(d)*4 {
		return errPacked
	}
	for i := range d {
		copy(d[i][:], v[4*i:])
	}
	return nil
}
