package referee

import (
	"fmt"
	"strconv"
	"strings"
)

// Cohorts is the number of values on the ring.
const Cohorts = 4096

// Cohort is the place of a request on the ring, 0 to 4095, or [Unknown].
type Cohort int16

// Unknown is the cohort of a request whose id nobody told the client.
const Unknown Cohort = -1

// CohortOf reads the last three hex digits of a request id backwards: the last digit is the most significant.
// An id that does not end in three hex digits has no cohort.
func CohortOf(id string) Cohort {
	if len(id) < 3 {
		return Unknown
	}
	last, middle, first := hexValue(id[len(id)-1]), hexValue(id[len(id)-2]), hexValue(id[len(id)-3])
	if last < 0 || middle < 0 || first < 0 {
		return Unknown
	}
	return last*256 + middle*16 + first
}

func hexValue(c byte) Cohort {
	return Cohort(strings.IndexByte("0123456789abcdef", lower(c)))
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'F' {
		return c - 'A' + 'a'
	}
	return c
}

// Window is Width consecutive cohorts from Start on; after 4095 comes 0.
type Window struct {
	Start int `json:"start"`
	Width int `json:"width"`
}

// ParseWindow reads "START,WIDTH", decimal or with 0x.
func ParseWindow(text string) (Window, error) {
	start, width, ok := strings.Cut(text, ",")
	first, err1 := strconv.ParseInt(strings.TrimSpace(start), 0, 32)
	count, err2 := strconv.ParseInt(strings.TrimSpace(width), 0, 32)
	if !ok || err1 != nil || err2 != nil {
		return Window{}, fmt.Errorf("reading window %q: allowed: START,WIDTH, two whole numbers such as 512,256", text)
	}
	w := Window{Start: int(first), Width: int(count)}
	return w, w.Validate()
}

// Validate refuses a start outside 0 to 4095 and a width outside 0 to 4096.
func (w Window) Validate() error {
	if w.Start < 0 || w.Start >= Cohorts {
		return fmt.Errorf("window start is %d; allowed: 0 to %d", w.Start, Cohorts-1)
	}
	if w.Width < 0 || w.Width > Cohorts {
		return fmt.Errorf("window width is %d; allowed: 0 to %d", w.Width, Cohorts)
	}
	return nil
}

// Contains tells whether a cohort is in the window. An unknown cohort never is. The window must be valid.
func (w Window) Contains(c Cohort) bool {
	if c < 0 || c >= Cohorts {
		return false
	}
	return (int(c)-w.Start+Cohorts)%Cohorts < w.Width
}

// Share is the share of the ring in the window, 0 to 1.
func (w Window) Share() float64 { return float64(w.Width) / Cohorts }
