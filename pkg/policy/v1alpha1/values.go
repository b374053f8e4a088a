package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time written as people write it: 250ms, 1.5s, 5m, 1h30m.
type Duration struct{ time.Duration }

// MarshalJSON writes the duration in Go's form without trailing zero units.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.Text()) }

// Text is the shortest text of the duration: 5m rather than 5m0s.
func (d Duration) Text() string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalJSON reads a duration with its unit; a bare number is an error, since nobody can tell its unit.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s is not a duration: write a number with a unit, such as 250ms, 1.5s or 5m", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with a unit, such as 250ms, 1.5s or 5m", s)
	}
	d.Duration = v
	return nil
}

// Percent is a share in percent, written 25, 2.5 or 25%.
type Percent float64

// UnmarshalJSON reads a percentage as a number or as text with a percent sign.
func (p *Percent) UnmarshalJSON(b []byte) error {
	text := strings.TrimSuffix(strings.Trim(string(b), `"`), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return fmt.Errorf("%s is not a percentage: write a number such as 25, 2.5 or 25%%", b)
	}
	*p = Percent(v)
	return nil
}
