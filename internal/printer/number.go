package printer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// thousands is a whole number with separators: 4,012.
func thousands(n float64) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return "?"
	}
	digits := strconv.FormatFloat(math.Abs(math.Round(n)), 'f', 0, 64)
	var b strings.Builder
	if math.Round(n) < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// share is part of whole in percent: 0.0 %, 0.003 %, 12.3 %, 100 %. It rounds to 0 or 100 only what is exactly that.
func share(part, whole float64) string {
	p := 100 * part / whole
	switch {
	case math.IsNaN(p) || math.IsInf(p, 0):
		return "? %"
	case p >= 100:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	case p > 99.9:
		return "> 99.9 %"
	case p > 0 && p < 0.05:
		return strconv.FormatFloat(p, 'f', leadingZeros(p)+1, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
}

// leadingZeros counts the places before the first digit of a number below 1 that is not 0, at most 8.
func leadingZeros(p float64) int {
	return min(int(math.Ceil(-math.Log10(p))-1), 8)
}

// span is a length of time in at most two units: 0.4 s, 60 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d <= 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return twoUnits(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	default:
		return twoUnits(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func twoUnits(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// seconds is a length of time given in seconds.
func seconds(s float64) string { return span(time.Duration(s * float64(time.Second))) }

// clock is the time since the start as m:ss or h:mm:ss.
func clock(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// plural is "1 step" or "7 steps".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(float64(n)) + " " + many
}

// singular is the word for a number that need not be whole.
func singular(n float64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// oneLine makes text from elsewhere (an API server, Envoy, a file) safe for a terminal and for grep: one line, no
// control characters, no terminal sequences.
func oneLine(text string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		if unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(clean), " ")
}

// some lists at most most names.
func some(names []string, most int) string {
	clean := make([]string, 0, len(names))
	for _, n := range names {
		clean = append(clean, oneLine(n))
	}
	if len(clean) <= most {
		return strings.Join(clean, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(clean[:most], ", "), thousands(float64(len(clean)-most)))
}
