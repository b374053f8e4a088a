package xds

import (
	"strconv"
	"strings"
	"time"
)

// uuidLen is the length of the UUID that istiod appends to the version, without a separator.
const uuidLen = 36

// Version is the version of a push context. Versions of one istiod process are ordered by their counter; the clock may
// jump, and says only second.
type Version struct {
	Time    time.Time
	Counter uint64
}

// Known tells whether there is a version at all.
func (v Version) Known() bool { return v.Counter > 0 }

// AtLeast tells whether v was made no earlier than o, both by one istiod process.
func (v Version) AtLeast(o Version) bool { return v.Known() && o.Known() && v.Counter >= o.Counter }

// ParseNonce reads the version out of a nonce: RFC 3339 time, "/", counter, UUID. A nonce of another shape (another
// control plane's) has no version.
func ParseNonce(nonce string) Version {
	if len(nonce) <= uuidLen {
		return Version{}
	}
	return ParseVersion(nonce[:len(nonce)-uuidLen])
}

// ParseVersion reads the version of a push context: RFC 3339 time, "/", counter.
func ParseVersion(text string) Version {
	stamp, count, ok := strings.Cut(text, "/")
	if !ok {
		return Version{}
	}
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return Version{}
	}
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		return Version{}
	}
	return Version{Time: at, Counter: n}
}
