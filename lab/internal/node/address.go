package node

import (
	"errors"
	"fmt"
	"sync"
)

// Pods get addresses 10.244.1.1 to 10.244.254.254, in turn, so that one is not used again soon.
const (
	firstAddress = 1<<8 | 1
	lastAddress  = 254<<8 | 254
)

var errNoAddress = errors.New("no free pod address is left")

// addresses hands out the pods' addresses. Its zero value is ready.
type addresses struct {
	mu   sync.Mutex
	next int
	used map[int]bool
}

func (a *addresses) take() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used == nil {
		a.used = map[int]bool{}
		a.next = firstAddress
	}
	for range lastAddress - firstAddress + 1 {
		n := a.next
		a.next++
		if a.next > lastAddress {
			a.next = firstAddress
		}
		if last := n & 0xff; last != 0 && last != 0xff && !a.used[n] {
			a.used[n] = true
			return n, nil
		}
	}
	return 0, errNoAddress
}

func (a *addresses) release(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.used, n)
}

// ip writes an address as text.
func ip(n int) string { return fmt.Sprintf("10.244.%d.%d", n>>8, n&0xff) }

// device names the bridge's end of the pod's device pair.
func device(n int) string { return fmt.Sprintf("pod%04x", n) }
