package loadgen

import (
	"crypto/rand"
	"encoding/hex"
)

// newID makes a request id of the kind asked for; "" for ProxyIDs.
func newID(kind string) string {
	if kind == ProxyIDs {
		return ""
	}
	var raw [16]byte
	// crypto/rand.Read never returns an error.
	_, _ = rand.Read(raw[:])
	if kind == Hex32IDs {
		return hex.EncodeToString(raw[:])
	}
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	text := hex.EncodeToString(raw[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
