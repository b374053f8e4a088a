package loadgen

import (
	"sync"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// chunk is how many records are allocated at once: 1 MiB.
const chunk = 1 << 15

// memory keeps the last records of a run, and the names that they refer to. It grows as needed up to its limit.
type memory struct {
	mu      sync.Mutex
	limit   int
	chunks  [][]referee.Record
	next    uint64
	servers []referee.Server
	index   map[referee.Server]uint16
}

func newMemory(limit int) *memory {
	return &memory{limit: limit, index: map[referee.Server]uint16{}}
}

// add keeps a record; server is the one that answered, or the zero Server.
func (m *memory) add(r referee.Record, server referee.Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Server = m.place(server)
	place := int(m.next % uint64(m.limit))
	if place/chunk == len(m.chunks) {
		m.chunks = append(m.chunks, make([]referee.Record, min(chunk, m.limit-place)))
	}
	m.chunks[place/chunk][place%chunk] = r
	m.next++
}

// place is the index of a server. Beyond the limit of the format, servers become NoServer.
func (m *memory) place(server referee.Server) uint16 {
	if server == (referee.Server{}) {
		return referee.NoServer
	}
	if i, ok := m.index[server]; ok {
		return i
	}
	if len(m.servers) >= referee.NoServer {
		return referee.NoServer
	}
	i := uint16(len(m.servers))
	m.servers = append(m.servers, server)
	m.index[server] = i
	return i
}

// oldest is the first record still there. The caller holds the lock.
func (m *memory) oldest() uint64 {
	return m.next - min(m.next, uint64(m.limit))
}

// counts is the number of records made, and of those overwritten.
func (m *memory) counts() (made, overwritten uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.next, m.oldest()
}

// span fills a header for the records from since on; false when there are none such yet and never were.
func (m *memory) span(since uint64, h *referee.Header) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since > m.next {
		return false
	}
	h.From, h.Next = max(since, m.oldest()), m.next
	h.Lost = h.From - since
	h.Servers = append([]referee.Server{}, m.servers...)
	return true
}

// read copies records into out, from a sequence number on; false when they were overwritten meanwhile.
func (m *memory) read(from uint64, out []referee.Record) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from < m.oldest() {
		return false
	}
	for i := range out {
		place := int((from + uint64(i)) % uint64(m.limit))
		out[i] = m.chunks[place/chunk][place%chunk]
	}
	return true
}
