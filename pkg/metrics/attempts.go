package metrics

import "fmt"

// amplifying is how much more a side must send per request to be told.
const amplifying = 1.05

// attempts are the requests that the servers got per request of a side, at least 1; 0 where they are not counted.
func (c Counts) attempts() float64 {
	if c.Attempts <= 0 || c.Requests <= 0 {
		return 0
	}
	return max(1, c.Attempts/c.Requests)
}

// amplification says how many more attempts per request the new side sends (ANALYSIS.md section 9). One that is only
// told is a finding; one above the limit holds the step.
func (l look) amplification() (text string, holds bool) {
	c, o := l.fresh.New.attempts(), l.fresh.Old.attempts()
	if c == 0 || o == 0 || c < amplifying*o {
		return "", false
	}
	text = fmt.Sprintf("the new side sends %.2f attempts per request, the old one %.2f", c, o)
	enough := l.fresh.New.Requests >= 100 // requests under way have attempts already
	return text, enough && c > l.c.Amplification*o
}
