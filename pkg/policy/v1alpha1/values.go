package v1alpha1

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DurationPattern is the text of a Duration: numbers with units, such as 1h30m.
const DurationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

// PercentPattern is the text of a Percent that is not a plain number.
const PercentPattern = `^[0-9]+(\.[0-9]+)? ?%?$`

var (
	durationText = regexp.MustCompile(DurationPattern)
	percentText  = regexp.MustCompile(PercentPattern)
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
	if !durationText.MatchString(s) {
		return fmt.Errorf("%q is not a duration: write a number with a unit, such as 250ms, 1.5s or 5m", s)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: it is longer than 292 years", s)
	}
	d.Duration = v
	return nil
}

// Percent is a share in percent, written 25, 2.5 or 25%.
type Percent float64

// UnmarshalJSON reads a percentage as a number or as text with a percent sign.
func (p *Percent) UnmarshalJSON(b []byte) error {
	text, quoted := string(b), strings.HasPrefix(string(b), `"`)
	if quoted {
		text = strings.Trim(text, `"`)
	}
	if quoted && !percentText.MatchString(text) {
		return fmt.Errorf("%q is not a percentage: write a number such as 25, 2.5 or 25%%", text)
	}
	v, err := strconv.ParseFloat(strings.TrimRight(text, " %"), 64)
	if err != nil {
		return fmt.Errorf("%s is not a percentage: write a number such as 25, 2.5 or 25%%", b)
	}
	*p = Percent(v)
	return nil
}
