package xds

import (
	"strings"

	"github.com/meshpol/meshpol/pkg/mesh"
)

// Memory is what one barrier learns that makes the next one quicker, or possible at all. It is not safe for concurrent
// use.
type Memory struct {
	// had are the texts last seen in a proxy's own configuration, and the session in which they were: a session ends
	// with the pod, since another pod of the same name never had what the first one had.
	had map[string]sighting
	// blind are proxies that do not see a host, with the nonces at which they were read.
	blind map[blindKey]string
	// roster are the proxies that were connected, so that one that is away is missed.
	roster map[string]bool
}

type sighting struct {
	session string
	texts   map[string]bool
}

type blindKey struct {
	proxy, host string
	scope       Scope
}

// NewMemory is an empty memory.
func NewMemory() *Memory {
	return &Memory{had: map[string]sighting{}, blind: map[blindKey]string{}, roster: map[string]bool{}}
}

// Expect names proxies ("namespace/pod") that ought to be connected.
func (m *Memory) Expect(proxies ...string) {
	for _, p := range proxies {
		m.roster[p] = true
	}
}

// saw notes which markers' texts are in a proxy's configuration now.
func (m *Memory) saw(proxy, session string, markers []mesh.Marker, found []bool) {
	s := m.had[proxy]
	if s.session != session || s.texts == nil {
		s = sighting{session: session, texts: map[string]bool{}}
	}
	for i, marker := range markers {
		if found[i] {
			s.texts[marker.Text] = true
		} else {
			s.drop(marker.Text)
		}
	}
	m.had[proxy] = s
}

// drop forgets a text that is gone, and with it every longer text.
func (s sighting) drop(gone string) {
	for text := range s.texts {
		if strings.Contains(text, gone) {
			delete(s.texts, text)
		}
	}
}

// proved notes that a proxy was proved to hold markers without its configuration being read.
func (m *Memory) proved(proxy string, markers []mesh.Marker) {
	for _, marker := range markers {
		if marker.Absent {
			m.had[proxy].drop(marker.Text)
		}
	}
}

// sawAny tells whether a proxy was last seen with something that these markers want to be gone. The empty session
// stands for any.
func (m *Memory) sawAny(proxy, session string, markers []mesh.Marker) bool {
	s := m.had[proxy]
	if session != "" && s.session != session {
		return false
	}
	for _, marker := range markers {
		for text := range s.texts {
			if marker.Absent && strings.Contains(text, marker.Text) {
				return true
			}
		}
	}
	return false
}

// forget drops a proxy that is gone.
func (m *Memory) forget(proxy string) {
	delete(m.had, proxy)
	delete(m.roster, proxy)
	for k := range m.blind {
		if k.proxy == proxy {
			delete(m.blind, k)
		}
	}
}
